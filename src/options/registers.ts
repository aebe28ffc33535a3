import { registerWords } from '../native/block.ts'
import type { Registers } from '../results/registers.ts'
import { checkKeys, checkObject, checkUint64 } from './check.ts'

/** In the order of `struct kvm_regs`. */
const names = [
  ...['rax', 'rbx', 'rcx', 'rdx', 'rsi', 'rdi', 'rsp', 'rbp'],
  ...['r8', 'r9', 'r10', 'r11', 'r12', 'r13', 'r14', 'r15', 'rip', 'rflags'],
] as (keyof Registers)[]

/** General registers by their order; those that are not given are absent. */
export type GivenRegisters = readonly (bigint | undefined)[]

/** Checks general registers to set, each of which is read once. */
export function checkRegisters(name: string, value: unknown): GivenRegisters {
  const given = checkObject(name, value)
  checkKeys(name, given, names)
  const { rax, rbx, rcx, rdx, rsi, rdi, rsp, rbp } = given
  const { r8, r9, r10, r11, r12, r13, r14, r15, rip, rflags } = given
  const registers = [
    rax,
    rbx,
    rcx,
    rdx,
    rsi,
    rdi,
    rsp,
    rbp,
    r8,
    r9,
    r10,
    r11,
    r12,
    r13,
    r14,
    r15,
    rip,
    rflags,
  ]
  for (let index = 0; index < registers.length; index++) {
    const register = registers[index]
    if (register !== undefined) checkUint64(names[index]!, register)
  }
  return registers as GivenRegisters
}

/**
 * Puts them into the shared words, right before the native call that takes them. Returns a bit for
 * each that is given.
 */
export function putRegisters(given: GivenRegisters | undefined): number {
  if (!given) return 0
  let bits = 0
  for (let index = 0; index < given.length; index++) {
    const register = given[index]
    if (register === undefined) continue
    registerWords[index] = register
    bits |= 1 << index
  }
  return bits
}
