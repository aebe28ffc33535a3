import { readFile } from 'node:fs/promises'

import { raise } from '../../native/errors.ts'
import {
  type ExecuteOptions,
  Process,
  type ProcessSnapshot,
  execute,
  hostDirectory,
} from '../../process/index.ts'
import { helloProgram } from '../baseline/hello.ts'
import { findPython, loop, python } from '../baseline/python.ts'
import type { Kind } from '../document.ts'
import type { RouteName } from '../route-names.ts'
import { type BenchRoute, since, timeoutMs } from './route.ts'

/** What makes one such route. */
interface ProcessSpec {
  name: RouteName
  kind: Kind
  about: string
  timing: string
  /** As many exits cost about as much as one of these. */
  exits: number
  /** Makes ready what runs one, and gives the nanoseconds that this took. */
  begin(): Promise<Disposable & { one(): Promise<number> }>
  probe?(): void
}

/** A program run to its end, beside `child_process`. */
class ProcessRoute implements BenchRoute {
  readonly name: RouteName
  readonly unit = 'program'
  readonly kind: Kind
  readonly others = []
  readonly about: string
  readonly unitsPerTime = 1
  readonly timing: string
  readonly #spec: ProcessSpec

  constructor(spec: ProcessSpec) {
    this.name = spec.name
    this.kind = spec.kind
    this.about = spec.about
    this.timing = spec.timing
    this.#spec = spec
  }

  units(exits: number): number {
    return Math.max(Math.round(exits / this.#spec.exits), 3)
  }

  probe(): void {
    this.#spec.probe?.()
  }

  async total(units: number, signal: AbortSignal): Promise<number> {
    const times = await this.each(units, signal)
    return times.reduce((sum, ns) => sum + ns, 0)
  }

  async each(units: number, signal: AbortSignal): Promise<readonly number[]> {
    using work = await this.#spec.begin()
    await work.one()
    const times: number[] = []
    for (let done = 0; done < units; done += 1) {
      signal.throwIfAborted()
      times.push(await work.one())
    }
    return times
  }
}

/** Runs it, and gives the nanoseconds that it took, and what it wrote. */
async function timed(
  program: string | Uint8Array | ProcessSnapshot,
  args: readonly string[],
  options: ExecuteOptions,
): Promise<[ns: number, stdout: string]> {
  const start = process.hrtime.bigint()
  const { exitCode, stdout, stderr } = await execute(program, args, options)
  const ns = since(start)
  return exitCode === 0 ? [ns, stdout] : raise(new Error(`it ended with ${exitCode}: ${stderr}`))
}

const files = (): ExecuteOptions => ({
  files: { '/': hostDirectory('/', { readOnly: true }) },
  timeoutMs,
})

const nothing = { [Symbol.dispose]: () => undefined }

/** Routes of `Process`. */
export const processRoutes: readonly BenchRoute[] = [
  new ProcessRoute({
    name: 'process',
    kind: 'child-hello',
    about: 'execute() of a static program that says hello, its machine made and closed',
    timing: 'each program',
    exits: 200,
    begin: async () => {
      const image = await readFile(await helloProgram())
      return { one: async () => (await timed(image, [], { timeoutMs }))[0], ...nothing }
    },
  }),
  new ProcessRoute({
    name: 'process-warm',
    kind: 'child-hello',
    about: 'the same from a snapshot before its first instruction, restored in place',
    timing: 'each program',
    exits: 100,
    begin: async () => {
      const process = new Process(await readFile(await helloProgram()), { timeoutMs })
      const warm = await process.snapshot()
      return {
        one: async () => (await timed(warm, [], { timeoutMs }))[0],
        [Symbol.dispose]: () => {
          process.close()
          warm.close()
        },
      }
    },
  }),
  new ProcessRoute({
    name: 'python',
    kind: 'child-python',
    about: "execute() of Debian's python3 -c pass, with the host's files",
    timing: 'each program',
    exits: 5000,
    probe: findPython,
    begin: async () => {
      const one = async (): Promise<number> => (await timed(python, ['-c', 'pass'], files()))[0]
      return { one, ...nothing }
    },
  }),
  new ProcessRoute({
    name: 'python-loop',
    kind: 'child-python-loop',
    about: 'the 25th Fibonacci number by recursion in Python, eight times, as it times it itself',
    timing: 'each program',
    exits: 5000,
    probe: findPython,
    begin: async () => {
      const one = async (): Promise<number> =>
        Number((await timed(python, ['-c', loop], files()))[1])
      return { one, ...nothing }
    },
  }),
]
