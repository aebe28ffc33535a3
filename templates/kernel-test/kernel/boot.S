/* The multiboot header, by which boot loaders know the kernel, and the first instructions. */
        .set MAGIC, 0x1badb002
        .set FLAGS, 0

        .section .multiboot, "a"
        .balign 4
        .long MAGIC
        .long FLAGS
        .long -(MAGIC + FLAGS)

        .text
        .globl _start
_start:
        movl $stack_top, %esp
        pushl %ebx                      /* what the loader says about the machine */
        pushl %eax                      /* its magic number */
        call kernel
1:      cli
        hlt
        jmp 1b

        .bss
        .balign 16
        .skip 16384
stack_top:

        .section .note.GNU-stack, "", @progbits
