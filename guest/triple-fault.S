// Variants: 32, 64 (triple-fault16.S is variant 16).
// Raises #UD where no interrupt descriptor table exists: the processor shuts down (KVM_EXIT_SHUTDOWN).

    .globl _start
_start:
    ud2
