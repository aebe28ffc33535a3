import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

import type { Kind } from '../document.ts'
import type { Baseline } from './baseline.ts'
import { helloProgram } from './hello.ts'
import { loop, python } from './python.ts'

const run = promisify(execFile)

/** What child processes do of this program's own, beside what another baseline does. */
export class WithChildren implements Baseline {
  readonly #other: Baseline
  readonly #signal: AbortSignal

  constructor(other: Baseline, signal: AbortSignal) {
    this.#other = other
    this.#signal = signal
  }

  get name(): string {
    return this.#other.name
  }

  get about(): string {
    return this.#other.about
  }

  async total(kind: Kind, count: number): Promise<number | undefined> {
    const child = children[kind]
    if (!child) return this.#other.total(kind, count)
    const times = await this.#times(child, count)
    return times.reduce((sum, ns) => sum + ns, 0)
  }

  each(kind: Kind, count: number): Promise<readonly number[]> {
    const child = children[kind]
    return child ? this.#times(child, count) : this.#other.each(kind, count)
  }

  close(): Promise<void> {
    return this.#other.close()
  }

  async #times(child: Child, count: number): Promise<number[]> {
    const times: number[] = []
    for (let done = 0; done < count; done += 1) {
      this.#signal.throwIfAborted()
      times.push(await child())
    }
    return times
  }
}

/** Runs one, and gives the nanoseconds that it took. */
type Child = () => Promise<number>

const timed = async (file: string, args: readonly string[]): Promise<[number, string]> => {
  const start = process.hrtime.bigint()
  const { stdout } = await run(file, args, { env: {} })
  return [Number(process.hrtime.bigint() - start), stdout]
}

const children: Partial<Record<Kind, Child>> = {
  'child-hello': async () => (await timed(await helloProgram(), []))[0],
  'child-python': async () => (await timed(python, ['-c', 'pass']))[0],
  'child-python-loop': async () => Number((await timed(python, ['-c', loop]))[1]),
}
