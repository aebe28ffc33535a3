// The command line of the manager beside a daemon of its own, as child processes.
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import type { ExecutionContext } from 'ava'

import { until } from '../../../../__test__/fixtures/until.ts'
import { type Ran, main, vmexit } from '../../../../__test__/helpers/cli.ts'

/** A daemon with directories of its own, and the verbs beside it. */
export class Bench {
  /** Where definitions, pictures and the like of the test lie, and the directories. */
  readonly folder = mkdtempSync('/tmp/vmexit-cli-')
  readonly state = join(this.folder, 's')
  readonly runtime = join(this.folder, 'r')
  readonly #children: ChildProcess[] = []
  #daemon: ChildProcess | undefined

  /** With what it leaves removed when the test ends, however it ends. */
  constructor(t: ExecutionContext) {
    t.teardown(() => this.#remove())
  }

  /** The socket of the daemon. */
  get socket(): string {
    return join(this.runtime, 'api.sock')
  }

  /** Starts the daemon and resolves to its document, when it is ready. */
  async startDaemon(...more: string[]): Promise<any> {
    return JSON.parse(await this.#start(['--json', ...more], '}\n'))
  }

  /** The same without `--json`; resolves to what it prints. */
  startDaemonAsText(...more: string[]): Promise<string> {
    return this.#start(more, 'ready')
  }

  async #start(more: readonly string[], last: string): Promise<string> {
    const places = ['--state', this.state, '--runtime', this.runtime]
    const { child, said } = this.spawn(['daemon', ...places, ...more])
    this.#daemon = child
    const isReady = await until(() => said.stdout.includes(last) || child.exitCode !== null)
    if (!isReady || child.exitCode !== null) throw new Error(`no daemon: ${said.stderr}`)
    return said.stdout
  }

  /** Ends the daemon; resolves to its exit code, or the signal. */
  async endDaemon(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | NodeJS.Signals | null> {
    const daemon = this.#daemon!
    daemon.kill(signal)
    await until(() => daemon.exitCode !== null || daemon.signalCode !== null)
    return daemon.exitCode ?? daemon.signalCode
  }

  /** Starts a verb and lets it run; what it says gathers in `said`. */
  spawn(args: readonly string[], env: NodeJS.ProcessEnv = {}) {
    const child = spawn(process.execPath, [main, ...args], { env: { ...process.env, ...env } })
    this.#children.push(child)
    const said = { stdout: '', stderr: '' }
    child.stdout.on('data', (chunk: Buffer) => (said.stdout += chunk.toString('latin1')))
    child.stderr.on('data', (chunk: Buffer) => (said.stderr += chunk.toString()))
    // It may end without reading.
    child.stdin.on('error', () => undefined)
    return { child, said }
  }

  /** Runs a verb at this daemon to its end. */
  run(args: readonly string[], input: string | Uint8Array = ''): Promise<Ran> {
    return vmexit([...args, '--runtime', this.runtime], { input })
  }

  /** As `run`, and gives its exit code and its document. */
  async json(args: readonly string[], input = ''): Promise<[code: number | null, document: any]> {
    const { code, stdout, stderr } = await this.run([...args, '--json'], input)
    try {
      return [code, JSON.parse(stdout.toString())]
    } catch {
      throw new Error(`no document: ${stdout.toString()}${stderr}`)
    }
  }

  /** Runs a verb that must do its work; gives what it printed. */
  async done(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.run(args)
    if (code !== 0) throw new Error(`${args.join(' ')}: ${code} ${stderr}`)
    return stdout.toString()
  }

  /** The states of all machines by name. */
  async states(): Promise<Record<string, string>> {
    const [, { machines }] = await this.json(['ps'])
    return Object.fromEntries(machines.map(({ name, state }: any) => [name, state]))
  }

  /** Waits until a machine is in a state. */
  async reaches(name: string, state: string): Promise<boolean> {
    for (const end = performance.now() + 300_000; performance.now() < end;)
      if ((await this.states())[name] === state) return true
    return false
  }

  /** Waits until a machine has said something. */
  async says(name: string, text: string): Promise<boolean> {
    for (const end = performance.now() + 300_000; performance.now() < end;)
      if ((await this.done('logs', name)).includes(text)) return true
    return false
  }

  /** Writes a file of JSON and returns its path. */
  file(name: string, value: unknown): string {
    const path = join(this.folder, name)
    writeFileSync(path, JSON.stringify(value))
    return path
  }

  #remove(): void {
    for (const child of this.#children) child.kill('SIGKILL')
    for (const pid of this.#processes()) {
      try {
        process.kill(pid, 'SIGKILL')
      } catch {
        // It has ended already.
      }
    }
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 })
  }

  /** The processes of machines that are left. */
  #processes(): number[] {
    try {
      return readdirSync(this.runtime).flatMap((name) => pidIn(join(this.runtime, name, 'pid')))
    } catch {
      return []
    }
  }
}

function pidIn(file: string): number[] {
  try {
    const { pid } = JSON.parse(readFileSync(file, 'utf8')) as { pid: unknown }
    return typeof pid === 'number' && pid > 1 ? [pid] : []
  } catch {
    return []
  }
}
