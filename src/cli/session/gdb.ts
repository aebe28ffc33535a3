import { listenGdb, type GdbServer } from '../../gdb/index.ts'
import type { VirtualMachine } from '../../machine/virtual-machine.ts'
import type { RunOptions } from '../../options/run-options.ts'
import type { RunResult } from '../../results/result.ts'
import { UsageError } from '../command.ts'

const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
const elf = Buffer.from('\x7fELF', 'latin1')

/** How gdb shall find the machine. */
interface Asked {
  /** Without a value, a socket in a folder of its own. */
  readonly address: string | true
  /** Whether the run begins when gdb says so. */
  readonly waits: boolean
  /** What the guest was made of: if it is an ELF image, gdb gets its symbols. */
  readonly image: Uint8Array | undefined
}

/** Serves the machine to gdb, and says where. */
export async function openGdb(
  vm: VirtualMachine,
  { address, waits, image }: Asked,
): Promise<Debugged> {
  const isElf = image !== undefined && elf.equals(image.subarray(0, elf.length))
  const place = address === true ? {} : parseAddress(address)
  const server = await listenGdb(vm, { ...place, ...(isElf && { symbols: image }) })
  const where = server.path ?? `:${server.port}`
  process.stderr.write(`vmexit: in gdb: target remote ${where}\n`)
  return new Debugged(server, vm, waits)
}

/** `:PORT` and `127.0.0.1:PORT` are TCP, everything else is a path. */
function parseAddress(text: string): { port: number } | { path: string } {
  const [, host, port] = /^(.*):(\d+)$/.exec(text) ?? []
  if (port === undefined || host!.includes('/')) {
    return text === '' ? UsageError.raise('--gdb must be :PORT or a path') : { path: text }
  }
  if (['', '127.0.0.1', 'localhost'].includes(host!)) return { port: Number(port) }
  const why = 'gdb may do anything to the machine, so it is served on 127.0.0.1 only'
  return UsageError.raise(`--gdb must be :PORT or a path, got '${text}'; ${why}`)
}

/** A run that gdb looks into. */
export class Debugged implements AsyncDisposable {
  readonly #server: GdbServer
  readonly #vm: VirtualMachine
  readonly #waits: boolean
  readonly #ended = new AbortController()

  constructor(server: GdbServer, vm: VirtualMachine, waits: boolean) {
    this.#server = server
    this.#vm = vm
    this.#waits = waits
    for (const signal of signals) process.on(signal, this.stop)
  }

  /** Ends the run, also one that has not begun, and the wait for gdb after it. */
  readonly stop = (): void => {
    this.#server.begin()
    this.#vm.stop()
    this.#ended.abort()
  }

  /** The run, at once or when gdb says so. */
  run(options: RunOptions): Promise<RunResult> {
    return this.#waits ? this.#server.run(options) : this.#vm.run(options)
  }

  /** Resolves when gdb has gone, which may look at a machine that has ended. */
  async left(): Promise<void> {
    const { signal } = this.#ended
    if (signal.aborted) return
    const ended = new Promise((resolve) => signal.addEventListener('abort', resolve))
    await Promise.race([this.#server.alone(), ended])
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const signal of signals) process.off(signal, this.stop)
    await this.#server.close()
  }
}
