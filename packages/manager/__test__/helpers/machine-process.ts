// Processes of machines, as a daemon begins them, and guests for them.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { type Socket, connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import type { ExecutionContext } from 'ava'
import type { MachineDefinition } from 'vmexit'
import { until } from '../../../../__test__/fixtures/until.ts'
import { code } from '../../../../__test__/helpers/machine.ts'
import { Peer, type WireEvent } from '../../src/wire/index.ts'

const main = fileURLToPath(new URL('../../dist/machine/main.js', import.meta.url))

/** A runtime and a state directory, which are removed when the test is over. */
export class Places {
  readonly folder = mkdtempSync(join(tmpdir(), 'vmx-'))
  readonly runtime = join(this.folder, 'run')
  readonly state = join(this.folder, 'state')
  readonly #t: ExecutionContext
  readonly #processes: ChildProcess[] = []

  constructor(t: ExecutionContext) {
    this.#t = t
    mkdirSync(this.runtime, { mode: 0o700 })
    mkdirSync(this.state, { mode: 0o700 })
    t.teardown(async () => {
      await Promise.all(this.#processes.map(endOf))
      rmSync(this.folder, { recursive: true, force: true })
    })
  }

  /** A file in the folder. */
  file(name: string, content: Uint8Array | string): string {
    const path = join(this.folder, name)
    writeFileSync(path, content)
    return path
  }

  /** A definition of a guest by its listing; real mode, at 0x7c00, with a serial port. */
  definition(name: string, listing: string, more: Partial<MachineDefinition> = {}) {
    const file = this.file(`${name}.bin`, code(listing))
    const payload = { file, loadGpa: 0x7c00, entryGpa: 0x7c00 }
    return { name, mode: 'real', serial: true, payload, ...more } as MachineDefinition
  }

  /** Begins the process of a machine or group; resolves when it is ready. */
  async begin(...what: ['--name' | '--group', string]): Promise<MachineProcess> {
    const args = [main, '--runtime', this.runtime, '--state', this.state, ...what]
    const child = spawn(process.execPath, args, {
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.#processes.push(child)
    const made = new MachineProcess(this, child)
    const [first] = await once(child.stdout!, 'data')
    this.#t.is(String(first), 'ready\n')
    return made
  }

  /** The same, and starts one machine of it. */
  async start(
    definition: MachineDefinition,
    params: Record<string, unknown> = {},
  ): Promise<Started> {
    const { name = 'm' } = definition
    const child = await this.begin('--name', name)
    const control = await this.control(name)
    const started = await control.request('start', { ...startParams(definition), ...params })
    return { child, control, name, started }
  }

  /** Connects with a machine. */
  async control(name: string): Promise<Client> {
    return Client.open(join(this.runtime, name, 'control.sock'))
  }

  /** Connects with a machine's console. */
  async serial(name: string): Promise<Listener> {
    return Listener.open(join(this.runtime, name, 'serial.sock'))
  }

  /** How a machine ended. */
  end(name: string): unknown {
    return JSON.parse(readFileSync(join(this.runtime, name, 'end.json'), 'utf8'))
  }
}

/** What `start` gets for a definition. */
export function startParams(definition: MachineDefinition): Record<string, unknown> {
  const uuid = '12345678-1234-4234-8234-123456789abc'
  return { name: definition.name, uuid, definition }
}

export interface Started {
  child: MachineProcess
  control: Client
  name: string
  started: Record<string, unknown>
}

/** One process. */
export class MachineProcess {
  readonly places: Places
  readonly child: ChildProcess
  stderr = ''

  constructor(places: Places, child: ChildProcess) {
    this.places = places
    this.child = child
    child.stderr!.on('data', (bytes) => (this.stderr += String(bytes)))
  }

  get pid(): number {
    return this.child.pid!
  }

  /** Whether it has ended, and how. */
  get ended(): string | number | undefined {
    return this.child.signalCode ?? this.child.exitCode ?? undefined
  }

  /** Resolves with its exit code or signal. */
  async gone(): Promise<string | number | undefined> {
    await until(() => this.ended !== undefined)
    return this.ended
  }

  /** Resident memory, in bytes. */
  get rss(): number {
    const [, kib] = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${this.pid}/status`, 'utf8'))!
    return Number(kib) * 1024
  }
}

/** A control connection that notes all events. */
export class Client extends Peer {
  readonly events: WireEvent[]

  constructor(socket: Socket, events: WireEvent[]) {
    super(socket, { onEvent: (event) => events.push(event) })
    this.events = events
  }

  static async open(path: string): Promise<Client> {
    const socket = connect(path)
    await once(socket, 'connect')
    return new Client(socket, [])
  }

  /** Resolves with the first event of a kind, or undefined when the connection is closed first. */
  async event(kind: string, after = 0): Promise<WireEvent | undefined> {
    const found = () => this.events.slice(after).find(({ event }) => event === kind)
    let closed = false
    void this.closed.then(() => (closed = true))
    await until(() => found() !== undefined || closed)
    return found()
  }

  get kinds(): string[] {
    return this.events.map(({ event }) => event)
  }
}

/** A console that notes all text. */
export class Listener {
  readonly socket: Socket
  text = ''
  closed = false

  constructor(socket: Socket) {
    this.socket = socket
    socket.on('data', (bytes) => (this.text += bytes.toString('latin1')))
    socket.on('close', () => (this.closed = true))
    socket.on('error', () => undefined)
  }

  static async open(path: string): Promise<Listener> {
    const socket = connect(path)
    const listener = new Listener(socket)
    await once(socket, 'connect')
    return listener
  }

  async until(text: string): Promise<boolean> {
    return until(() => this.text.includes(text))
  }
}

async function endOf(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill('SIGKILL')
  await once(child, 'exit')
}

/** Says "ready\n" on the serial port, and then sends back what it is sent; `q` turns it off. */
export const echo = `
  be 31 7c       ; mov si, message
  ac             ; next: lodsb
  84 c0          ; test al, al
  74 06          ; jz wait
  ba f8 03       ; mov dx, 0x3f8
  ee             ; out dx, al
  eb f5          ; jmp next
  ba fd 03       ; wait: mov dx, 0x3fd
  ec             ; in al, dx
  a8 01          ; test al, 1
  74 f8          ; jz wait
  ba f8 03       ; mov dx, 0x3f8
  ec             ; in al, dx
  3c 71          ; cmp al, 'q'
  74 08          ; je end
  3c 72          ; cmp al, 'r'
  74 09          ; je reset
  ee             ; out dx, al
  eb e9          ; jmp wait
  90             ; nop
  b0 2a          ; end: mov al, 42
  e6 f4          ; out 0xf4, al
  f4             ; hlt
  b0 06          ; reset: mov al, 6
  ba f9 0c       ; mov dx, 0xcf9
  ee             ; out dx, al
  72 65 61 64 79 0a 00`

/** Spins for ever. */
export const spin = 'eb fe ; jmp $'
