import { ending, registerWords } from '../native/block.ts'
import { take } from '../native/errors.ts'
import type { NativeMachine } from '../native/seam.ts'
import { type Registers, toRegisters } from './registers.ts'

const each = registerWords.length

/** Of so many results the registers are kept together: a buffer costs more than what is in it. */
const together = 32

let chunk = new BigUint64Array(0)
let next = 0

/** Copies the registers in the shared words; returns where they begin in `chunk`. */
function keep(): number {
  if (next === chunk.length) {
    chunk = new BigUint64Array(together * each)
    next = 0
  }
  chunk.set(registerWords, next)
  return (next += each) - each
}

/** Registers as they were at the end of a run. */
export class KeptRegisters {
  readonly #words: BigUint64Array
  readonly #begin: number
  /** KVM may have to complete an access before they are known. */
  #owing: NativeMachine | undefined
  #values: Registers | undefined

  /** Of the shared words, right after the run. */
  constructor(machine: NativeMachine, vcpu: number) {
    if (ending[7] === 1) {
      this.#begin = keep()
      this.#words = chunk
    } else {
      this.#begin = 0
      this.#words = new BigUint64Array(each)
      machine.oweRegisters(vcpu, this.#words)
      this.#owing = machine
    }
  }

  /** All of them. */
  get values(): Registers {
    if (this.#owing) {
      take(this.#owing.settleRegisters())
      this.#owing = undefined
    }
    return (this.#values ??= toRegisters(this.#words, this.#begin))
  }
}
