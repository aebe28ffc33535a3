// Variant: 16 (triple-fault.S is the others).
// Raises #UD with an empty interrupt table: the processor shuts down (KVM_EXIT_SHUTDOWN).
// It sets CR0.PE first, because KVM's emulator takes the vector from gpa 0 in real mode whatever the table's limit.

    .code16
    .globl _start
_start:
    lidt empty
    movl %cr0, %eax
    orb $1, %al
    movl %eax, %cr0
    ud2

empty:
    .word 0
    .long 0
