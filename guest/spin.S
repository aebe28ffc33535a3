// Variants: 16, 32, 64, 64-user; the two bytes (eb fe) mean the same in each.
// Never exits, never halts: only the host can end this run.

    .globl _start
_start:
    jmp .
