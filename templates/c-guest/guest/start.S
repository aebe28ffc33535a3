/* The first instructions: main() is called, and what it returns is the exit code. */
        .section .start, "ax"
        .globl _start
_start:
        call main
        outb %al, $0xf4                 /* the route that ends the run */
1:      hlt
        jmp 1b

        .section .note.GNU-stack, "", @progbits
