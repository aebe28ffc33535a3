// Entry of every guest in C (32, 64, 64-user): calls main and ends the run with its result in (R/E)AX.
// 64-user cannot halt at CPL 3, so it writes AL to the exit port 0xf4: the exit code is the result's low byte and RAX
// still holds all of it. Both endings repeat, so a host that goes on meets the same exit again.

    .section .start, "ax"
    .globl _start
_start:
    call main
1:
#ifdef USER
    outb %al, $0xf4
#else
    hlt
#endif
    jmp 1b
