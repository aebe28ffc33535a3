import type { Vcpu } from '../../machine/vcpu/vcpu.ts'
import { fromHex, fromLittle, toLittleHex } from '../wire/bytes.ts'
import { type Bits, type Register, type State, type Update, featuresOf } from './layout.ts'

/** The registers of a connection: those of the mode in which the machine was when it began. */
export class RegisterFile {
  readonly #registers: readonly Register[]

  constructor(bits: Bits) {
    this.#registers = featuresOf(bits).flatMap(({ registers }) => registers)
  }

  /** All of them, as the packet `g` has them. */
  readAll(vcpu: Vcpu): string {
    const state = stateOf(vcpu)
    return this.#registers.map(({ bits, read }) => toLittleHex(read(state), bits)).join('')
  }

  /** One, or `undefined` if there is none of that number. */
  read(vcpu: Vcpu, number: number): string | undefined {
    const register = this.#registers[number]
    return register && toLittleHex(register.read(stateOf(vcpu)), register.bits)
  }

  /** Sets those that differ; false if there are not as many. */
  writeAll(vcpu: Vcpu, hex: string): boolean {
    const bytes = fromHex(hex)
    const whole = this.#registers.reduce((sum, { bits }) => sum + bits / 8, 0)
    if (bytes?.length !== whole) return false
    const values: [Register, bigint][] = []
    let at = 0
    for (const register of this.#registers) {
      const end = at + register.bits / 8
      values.push([register, fromLittle(bytes.subarray(at, end))])
      at = end
    }
    write(vcpu, values)
    return true
  }

  /** Lets a vCPU go on at a linear address. */
  jump(vcpu: Vcpu, address: bigint): void {
    const register = this.#registers.find(({ type }) => type === 'code_ptr')!
    write(vcpu, [[register, address]])
  }

  /** Sets one; false if there is none of that number and size. */
  write(vcpu: Vcpu, number: number, hex: string): boolean {
    const register = this.#registers[number]
    const bytes = fromHex(hex)
    if (!register || bytes?.length !== register.bits / 8) return false
    write(vcpu, [[register, fromLittle(bytes)]])
    return true
  }
}

function stateOf(vcpu: Vcpu): State {
  return { general: vcpu.registers(), special: vcpu.specialRegisters(), fpu: vcpu.fpu() }
}

/** Special registers first: RIP counts from the base of CS. */
function write(vcpu: Vcpu, values: readonly [Register, bigint][]): void {
  const state = stateOf(vcpu)
  const update: Update = { general: {}, special: {}, fpu: {} }
  for (const [register, value] of values) {
    if (register.read(state) !== value) register.write?.(update, value, state)
  }
  const isSome = (part: object): boolean => Object.keys(part).length > 0
  if (isSome(update.special)) vcpu.setSpecialRegisters(update.special)
  if (isSome(update.fpu)) vcpu.setFpu(update.fpu)
  if (isSome(update.general)) vcpu.setRegisters(update.general)
}
