import type { RunOptions } from '../../options/run-options.ts'
import { endingsOfPaths, formatOfPath } from '../../profile/formats.ts'
import type { Profile } from '../../profile/profile.ts'
import type { RunResult } from '../../results/result.ts'
import type { VirtualMachine } from '../../machine/virtual-machine.ts'
import { UsageError, type Values } from '../command.ts'
import { readImage, textOf } from './image.ts'

/** How many functions the document names. */
const mostFunctions = 100

/** What `--profile` asks for: where the guest spends the run. */
export class Profiling {
  readonly #path: string | undefined
  readonly #symbols: Uint8Array | undefined
  #profile: Profile | undefined

  constructor(values: Values) {
    this.#path = textOf(values, 'profile')
    const symbols = textOf(values, 'symbols')
    if (this.#path !== undefined && !formatOfPath(this.#path))
      UsageError.raise(`--profile FILE must end in ${endingsOfPaths}, got '${this.#path}'`)
    if (this.#path === undefined && symbols !== undefined)
      UsageError.raise('--symbols names the functions of --profile FILE, which is not given')
    if (this.#path !== undefined && values['gdb'] !== undefined)
      UsageError.raise('--profile and --gdb do not go together: gdb holds the guest as it likes')
    if (symbols !== undefined) this.#symbols = readImage(symbols, 'the symbols')
  }

  /** Runs a machine, sampled or not. */
  async run(vm: VirtualMachine, options: RunOptions): Promise<RunResult> {
    if (this.#path === undefined) return await vm.run(options)
    const symbols = this.#symbols && { symbols: this.#symbols }
    this.#profile = await vm.profile({ ...options, ...symbols })
    return this.#profile.result!
  }

  /** Writes the file. */
  async save(): Promise<void> {
    if (this.#path === undefined || !this.#profile) return
    try {
      await this.#profile.save(this.#path)
    } catch (error) {
      UsageError.raise(`cannot write the profile: ${(error as Error).message}`)
    }
  }

  /** For people, with a line's end; empty if nothing was asked. */
  get text(): string {
    return this.#profile ? `vmexit: ${this.#path}: ${String(this.#profile)}\n` : ''
  }

  /** For the document of `--json`. */
  get document(): object {
    if (!this.#profile) return {}
    const { hz, durationMs, samples, missed, functions } = this.#profile
    const most = functions.slice(0, mostFunctions)
    return { profile: { file: this.#path, hz, durationMs, samples, missed, functions: most } }
  }
}
