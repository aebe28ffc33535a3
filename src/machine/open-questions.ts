import { registerWords } from '../native/block.ts'
import { fail, take } from '../native/errors.ts'
import type { NativeMachine } from '../native/seam.ts'
import type { Device } from '../options/device.ts'
import type { ExitContext } from '../options/run-options.ts'
import type { AccessExit } from '../results/exit.ts'
import { type Registers, toRegisters } from '../results/registers.ts'

/** A question, read from the words. */
export interface Asked {
  readonly kind: number
  readonly route: number
  readonly ticket: number
  readonly exit: AccessExit | undefined
  /**
   * How many bytes an unclaimed read needs: size times count. The handler may change the record
   * that it gets.
   */
  readonly readBytes?: number | undefined
  /** The vCPU has its answer. */
  isAnswered?: boolean
}

/** How many bytes the answer to an unclaimed exit needs; `undefined` if it is no read. */
export function bytesToRead(exit: AccessExit | undefined): number | undefined {
  if (exit?.reason === 'pio-in') return exit.size * exit.count
  return exit?.reason === 'mmio-read' ? exit.size : undefined
}

/** The questions to a machine's devices that are not answered: each has a vCPU that waits. */
export class OpenQuestions {
  readonly #machine: NativeMachine
  /** The device that is being called, and the ticket of its question. */
  #device: Device | undefined
  #ticket = 0
  /** Devices that have returned a promise, by the tickets of their questions. */
  readonly #promised = new Map<number, Device>()
  #run = 0

  constructor(machine: NativeMachine) {
    this.#machine = machine
  }

  /** A device is being called. */
  call(device: Device | undefined, ticket: number): void {
    this.#device = device
    this.#ticket = ticket
  }

  /** It has returned. */
  returned(): void {
    this.#device = undefined
  }

  /** It returns a promise. */
  promise(): void {
    if (this.#device) this.#promised.set(this.#ticket, this.#device)
  }

  /** That promise is settled. */
  settle(ticket: number): void {
    this.#promised.delete(ticket)
  }

  /** The run is over. */
  clear(): void {
    this.#run++
    if (this.#promised.size > 0) this.#promised.clear()
  }

  /** What `onExit` may ask until its answer. */
  contextFor(asked: Asked): ExitContext {
    return { registers: this.registersOf(asked) }
  }

  /** The registers of the vCPU that asks, until its answer. */
  registersOf(asked: Asked): () => Registers {
    const run = this.#run
    return () => {
      if (!asked.isAnswered && run === this.#run) return this.#registers(asked.ticket)
      const what = 'the exit is answered, and the registers of its vCPU change'
      return fail('ERR_VM_BUSY', `${what}; call registers() before`)
    }
  }

  /** The registers of the vCPU that waits for the answer to a question. */
  #registers(ticket: number): Registers {
    take(this.#machine.askedRegisters(ticket))
    return toRegisters(registerWords)
  }

  /** Those of the vCPU that asks a device; `undefined` if none does. */
  registersFor(device: Device): Registers | undefined {
    if (this.#device === device) return this.#registers(this.#ticket)
    const tickets = [...this.#promised].filter(([, asked]) => asked === device)
    const [first] = tickets
    if (!first) return undefined
    if (tickets.length > 1) {
      const what = 'several vCPUs wait for promises of this device, so nothing tells which is meant'
      return fail('ERR_VM_BUSY', `${what}; ask before the first await`)
    }
    return this.#registers(first[0])
  }
}
