// Variant: 64.
// Ports, in this order: writes 0x11 (1 byte) to 0x200, 0x2233 (2 bytes) to 0x202, 0x44556677 (4 bytes) to 0x204, then
// reads 1 byte from 0x200, 2 bytes from 0x202, 4 bytes from 0x204.
// End: hlt; RBX, RSI, RDI = the values read, zero-extended, in that order; RAX = RDI.
// A device that answers with what was written there gives RBX = 0x11, RSI = 0x2233, RDI = 0x44556677.

    .globl _start
_start:
    movl $0x11, %eax
    movw $0x200, %dx
    outb %al, %dx
    movl $0x2233, %eax
    movw $0x202, %dx
    outw %ax, %dx
    movl $0x44556677, %eax
    movw $0x204, %dx
    outl %eax, %dx

    movw $0x200, %dx
    inb %dx, %al
    movzbl %al, %ebx
    movw $0x202, %dx
    inw %dx, %ax
    movzwl %ax, %esi
    movw $0x204, %dx
    inl %dx, %eax
    movl %eax, %edi
1:
    hlt
    jmp 1b
