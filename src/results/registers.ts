import type { NativeRegisters } from '../native/seam.ts'

/**
 * General registers, RIP and RFLAGS, 64 bits each (KVM API, `struct kvm_regs`).
 *
 * @interface
 *
 * @category Registers
 */
// No interface: `Object.entries` of one would give unknown values.
export type Registers = Required<NativeRegisters>

/** General registers of words in the order of `struct kvm_regs`, from one on. */
export function toRegisters(words: BigUint64Array, at = 0): Registers {
  return {
    rax: words[at]!,
    rbx: words[at + 1]!,
    rcx: words[at + 2]!,
    rdx: words[at + 3]!,
    rsi: words[at + 4]!,
    rdi: words[at + 5]!,
    rsp: words[at + 6]!,
    rbp: words[at + 7]!,
    r8: words[at + 8]!,
    r9: words[at + 9]!,
    r10: words[at + 10]!,
    r11: words[at + 11]!,
    r12: words[at + 12]!,
    r13: words[at + 13]!,
    r14: words[at + 14]!,
    r15: words[at + 15]!,
    rip: words[at + 16]!,
    rflags: words[at + 17]!,
  }
}
