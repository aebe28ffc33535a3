// Variant: 16 (input.c is the others).
// Ports: reads bytes from 0x60 until one is 0 and writes each, except that 0, to 0xe9.
// End: hlt; RAX = number of bytes echoed.

    .code16
    .globl _start
_start:
    xorl %ecx, %ecx
1:
    inb $0x60, %al
    testb %al, %al
    jz 2f
    outb %al, $0xe9
    incl %ecx
    jmp 1b
2:
    movl %ecx, %eax
3:
    hlt
    jmp 3b
