import { writeFile } from 'node:fs/promises'

import { invalid } from '../native/errors.ts'
import type { NativeSamples } from '../native/seam.ts'
import { checkKeys, checkObject, checkPath } from '../options/check.ts'
import type { RunResult } from '../results/result.ts'
import { type ProfileFormat, checkFormat, endingsOfPaths, formatOfPath, write } from './formats.ts'
import type { Named } from './named.ts'
import { type ProfileNamer, Names } from './names.ts'
import { type Moment, type ProfileStack, momentsOf, stacksOf } from './samples.ts'
import { type ProfileFunction, functionsOf, summaryOf } from './summary.ts'

/**
 * Where the vCPUs of a machine were found; a plain value, which outlives the machine.
 *
 * @category Debugging
 */
export class Profile {
  /** How many samples of each vCPU were asked for in a second. */
  readonly hz: number
  /** For how long. */
  readonly durationMs: number
  /** How many samples there are, of all vCPUs. */
  readonly samples: number
  /**
   * How often a vCPU had not answered yet when its next sample was due, as on a host that has too
   * much to do.
   */
  readonly missed: number
  /** The places where vCPUs were found, each once. */
  readonly stacks: readonly ProfileStack[]
  /** By name, those with the most samples of their own first. */
  readonly functions: readonly ProfileFunction[]
  /** Of the run that `profile` made; `undefined` for a run that was under way. */
  readonly result: RunResult | undefined
  readonly #named: Named

  /** @internal */
  constructor(given: NativeSamples, hz: number, namer: ProfileNamer, result?: RunResult) {
    const stacks = stacksOf(given)
    const moments: Moment[] = momentsOf(given)
    const names = new Names(namer, stacks)
    const named = stacks.map((stack) => ({ ...stack, names: names.of(stack) }))
    const vcpus = [...new Set(stacks.map(({ vcpu }) => vcpu))].toSorted((a, b) => a - b)
    this.hz = hz
    this.durationMs = given.durationMs
    this.samples = stacks.reduce((sum, { count }) => sum + count, 0)
    this.missed = given.missed
    this.stacks = stacks
    this.functions = functionsOf(named)
    this.result = result
    this.#named = { hz, durationMs: given.durationMs, vcpus, stacks: named, moments }
  }

  /**
   * The profile as the text of a file: `'cpuprofile'` for the DevTools of Chrome and for VS Code,
   * `'speedscope'` for speedscope.app, `'folded'` for `flamegraph.pl` and its likes.
   *
   * @throws {VmError} `ERR_INVALID_OPTION`.
   *
   * @example
   * ```ts
   * using vm = new VirtualMachine({ mode: 'long', payload: guests.spin })
   * const profile = await vm.profile({ timeoutMs: 100 })
   * console.log(profile.encode('folded').startsWith('0x0 ')) // true
   * ```
   */
  encode(format: ProfileFormat): string {
    return write(this.#named, checkFormat('format', format))
  }

  /**
   * Writes it to a file, in the format that the end of its name says: `.cpuprofile`,
   * `.speedscope.json`, `.folded` or `.txt`; `format` says another.
   *
   * Rejects with `ERR_INVALID_OPTION`, and with Node's own errors when the file cannot be written.
   *
   * @example
   * ```ts
   * import { readFileSync } from 'node:fs'
   * import { VirtualMachine, guests } from 'vmexit'
   *
   * using vm = new VirtualMachine({ mode: 'long', payload: guests.spin })
   * const profile = await vm.profile({ timeoutMs: 100 })
   * await profile.save('guest.cpuprofile')
   * console.log(JSON.parse(readFileSync('guest.cpuprofile', 'utf8')).startTime) // 0
   * ```
   */
  async save(path: string | URL, options: { format?: ProfileFormat } = {}): Promise<void> {
    const file = checkPath('path', path)
    const { format } = checkObject('options', options)
    checkKeys('options', options, ['format'])
    const chosen = format === undefined ? formatOfPath(file) : checkFormat('format', format)
    if (!chosen) return invalid('path', `a file whose name ends in ${endingsOfPaths}`, path)
    await writeFile(file, this.encode(chosen))
  }

  /**
   * The functions with the most samples, for people.
   *
   * @example
   * ```ts
   * using vm = new VirtualMachine({ mode: 'long', payload: guests.spin })
   * const profile = await vm.profile({ timeoutMs: 100 })
   * console.log(String(profile).split('\n')[2]) // 100.0% 100.0%  0x0
   * ```
   */
  toString(): string {
    const { samples, hz, durationMs } = this
    return summaryOf(this.functions, { samples, hz, durationMs, vcpus: this.#named.vcpus.length })
  }
}
