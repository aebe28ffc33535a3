// Variant: 16 (hello.c is the others).
// Ports: writes "Hello, world!\n" to 0xe9, one byte per out.
// Memory: the 4 bytes at 0x400 = 42.
// End: hlt; RAX = 42.

    .code16
    .globl _start
_start:
    movw $message, %si
1:
    lodsb
    testb %al, %al
    jz 2f
    outb %al, $0xe9
    jmp 1b
2:
    movl $42, 0x400
    movl $42, %eax
3:
    hlt
    jmp 3b

message:
    .asciz "Hello, world!\n"
