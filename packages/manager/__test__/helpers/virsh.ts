// Debian's virsh beside a daemon of its own.
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'

import type { ExecutionContext } from 'ava'

import { until } from '../../../../__test__/fixtures/until.ts'
import { startDaemon } from '../../dist/index.js'
import type { Supervisor } from '../../src/supervisor/interface.ts'
import { withClients } from '../clients/clients.ts'
import { watchfulKernel } from '../fixtures/watchful-kernel.ts'
import { temporary } from './folder.ts'

/** What a client said. */
export interface Said {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** A client that runs. */
export interface Running {
  /** What it has said. */
  readonly text: () => string
  /** Types something. */
  readonly type: (text: string) => void
  /** Resolves when it has said something that matches; fails the test when it does not. */
  readonly until: (pattern: RegExp) => Promise<void>
  /** Ends it. */
  readonly end: () => Promise<void>
}

/** A daemon, and virsh. */
export class Bench {
  readonly #t: ExecutionContext
  readonly #env: NodeJS.ProcessEnv
  /** The test's own folder. */
  readonly folder: string
  /** Where the daemon keeps its machines. */
  readonly state: string
  /** Where its sockets are. */
  readonly runtime: string
  /** The supervisor of the daemon. */
  readonly supervisor: Supervisor
  /** The kernel that its machines run. */
  readonly kernel: string

  private constructor(
    t: ExecutionContext,
    places: Pick<Bench, 'folder' | 'state' | 'runtime' | 'kernel'>,
    daemon: { supervisor: Supervisor; libvirt: string },
  ) {
    this.#t = t
    this.folder = places.folder
    this.state = places.state
    this.runtime = places.runtime
    this.kernel = places.kernel
    this.supervisor = daemon.supervisor
    const uri = `vmexit:///system?socket=${daemon.libvirt}`
    const own = { LIBVIRT_DEFAULT_URI: uri, HOME: places.folder, LC_ALL: 'C', TERM: 'dumb' }
    this.#env = { ...process.env, ...own }
  }

  /** Starts a daemon, which ends with the test, and its machines before it. */
  static async open(t: ExecutionContext): Promise<Bench> {
    const folder = temporary(t)
    const [state, runtime] = [join(folder, 's'), join(folder, 'r')]
    const kernel = join(folder, 'watchful.bin')
    writeFileSync(kernel, watchfulKernel())
    const daemon = await startDaemon({ state, runtime })
    const { supervisor } = daemon
    t.teardown(async () => {
      const running = supervisor.list().filter(({ pid }) => pid !== undefined)
      await Promise.allSettled(running.map(({ name }) => supervisor.kill(name)))
      await daemon.close()
    })
    return new Bench(t, { folder, state, runtime, kernel }, daemon)
  }

  /** A document of a machine with the kernel; `more` are further elements, `devices` devices. */
  document(name: string, { more = '', devices = '' } = {}): string {
    const file = join(this.folder, `${name}.xml`)
    writeFileSync(
      file,
      `<domain type='vmexit'><name>${name}</name><memory unit='MiB'>16</memory>${more}
      <os><type arch='x86_64'>hvm</type><kernel>${this.kernel}</kernel></os>
      <devices><console type='pty'/><graphics type='vnc'/>${devices}</devices></domain>`,
    )
    return file
  }

  /** Runs virsh to its end. */
  try(...words: string[]): Promise<Said> {
    return this.client('virsh', ...words)
  }

  /** Runs a client to its end. */
  async client(...words: string[]): Promise<Said> {
    const [command, ...args] = await withClients(words)
    return new Promise((resolve) => {
      const options = { env: this.#env, timeout: 600_000 }
      execFile(command!, args, options, (error, stdout, stderr) => {
        const code = error === null ? 0 : typeof error.code === 'number' ? error.code : 1
        resolve({ code, stdout, stderr })
      })
    })
  }

  /** The same, and it has to go well; resolves to what it wrote, without blanks at its ends. */
  async virsh(...words: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.try(...words)
    this.#t.is(code, 0, `virsh ${words.join(' ')}: ${stderr}`)
    return stdout.trim()
  }

  /** The same, and it has to fail; resolves to its complaint. */
  async refused(...words: string[]): Promise<string> {
    const { code, stderr } = await this.try(...words)
    this.#t.not(code, 0, `virsh ${words.join(' ')} went well`)
    return stderr.trim()
  }

  /** Starts virsh with a terminal. */
  async terminal(...words: string[]): Promise<Running> {
    const command = (await withClients(['virsh', ...words])).map(quoted).join(' ')
    return this.#running(spawn('script', ['-qefc', command, '/dev/null'], { env: this.#env }))
  }

  /** Starts virsh, and lets it run. */
  async background(...words: string[]): Promise<Running> {
    const [command, ...args] = await withClients(['virsh', ...words])
    return this.#running(spawn(command!, args, { env: this.#env }))
  }

  #running(child: ChildProcess): Running {
    let said = ''
    child.stdout!.on('data', (chunk: Buffer) => (said += chunk.toString('latin1')))
    child.stderr!.on('data', (chunk: Buffer) => (said += chunk.toString('latin1')))
    child.stdin!.on('error', () => undefined)
    const end = async (): Promise<void> => {
      child.kill('SIGKILL')
      await until(() => child.exitCode !== null || child.signalCode !== null)
    }
    this.#t.teardown(end)
    return {
      text: () => said,
      type: (text) => child.stdin!.write(text),
      until: async (pattern) => {
        this.#t.true(await until(() => pattern.test(said)), `no ${pattern} in: ${said}`)
      },
      end,
    }
  }
}

function quoted(word: string): string {
  return `'${word.replaceAll("'", String.raw`'\''`)}'`
}
