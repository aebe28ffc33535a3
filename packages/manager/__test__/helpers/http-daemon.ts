// A daemon in a process of its own, with machines on the real KVM, and its typed client.
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { type Socket, connect as open } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

import type { ExecutionContext } from 'ava'

import { until } from '../../../../__test__/fixtures/until.ts'
import { type Client, type MachineState, connect } from '../../src/client/index.ts'

const program = fileURLToPath(new URL('../fixtures/http-daemon.mjs', import.meta.url))

/** It ends what hangs. */
const limitMs = 300_000

/** For TCP. */
export const token = 'a-token-that-nobody-guesses'

/** An answer, read whole. */
export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly body: Buffer
}

/** What is asked of `HttpDaemon.ask`. */
export interface Asked {
  readonly method?: string
  readonly path?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: unknown
  /** By TCP. */
  readonly url?: string
}

/** It ends with the test, and its machines, too. */
export class HttpDaemon {
  readonly folder = mkdtempSync('/tmp/vmh-')
  readonly runtime = join(this.folder, 'r')
  #child: ChildProcess | undefined
  api = ''
  url = ''
  /** The URL of the web screen, if it has one. */
  web = ''

  /** Starts one. */
  static async start(t: ExecutionContext, web = ''): Promise<HttpDaemon> {
    const daemon = new HttpDaemon()
    t.teardown(() => daemon.#remove())
    const child = fork(program, [join(daemon.folder, 's'), daemon.runtime, token, web], {
      execArgv: [],
    })
    daemon.#child = child
    const [said] = await once(child, 'message')
    Object.assign(daemon, said)
    return daemon
  }

  /** Its process. */
  get pid(): number {
    return this.#child!.pid!
  }

  /** A client at its socket. */
  get client(): Client {
    return connect({ socket: this.api })
  }

  /** What it holds. */
  async counts(): Promise<Record<string, number>> {
    this.#child!.send('counts')
    const [counts] = await once(this.#child!, 'message')
    return counts
  }

  /** Waits until its front end for HTTP holds nothing. */
  async isIdle(): Promise<boolean> {
    for (const end = performance.now() + limitMs; performance.now() < end;) {
      const { httpConnections, httpEventStreams, httpWebSockets, httpBodyBytes, httpAnswerBytes } =
        await this.counts()
      const held = [httpConnections, httpEventStreams, httpWebSockets, httpBodyBytes]
      if ([...held, httpAnswerBytes].every((count) => count === 0)) return true
      await sleep(50)
    }
    return false
  }

  /** Waits until a machine is in a state. */
  async isInState(name: string, state: MachineState): Promise<boolean> {
    for (const end = performance.now() + limitMs; performance.now() < end;) {
      if ((await this.client.find(name)).state === state) return true
      await sleep(50)
    }
    return false
  }

  /** Descriptors and resident MiB of its process. */
  census(): { readonly files: number; readonly mib: number } {
    const status = readFileSync(`/proc/${this.pid}/status`, 'utf8')
    const kib = Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)![1])
    return { files: readdirSync(`/proc/${this.pid}/fd`).length, mib: kib / 1024 }
  }

  /** Asks something, and reads the answer. */
  async ask({ method = 'GET', path = '/v1/version', headers = {}, body, url }: Asked) {
    const text = body === undefined ? undefined : JSON.stringify(body)
    const sent = { ...(text !== undefined && { 'content-type': 'application/json' }), ...headers }
    const where = url === undefined ? { socketPath: this.api } : {}
    const target = new URL(path, url ?? 'http://localhost')
    const asked = request(target, { ...where, method, headers: sent, agent: false }).end(text)
    const [response] = await once(asked, 'response')
    const chunks: Buffer[] = []
    for await (const chunk of response) chunks.push(chunk)
    const { statusCode: status, headers: got } = response
    return { status, headers: got, body: Buffer.concat(chunks) } as Answer
  }

  /** Opens its socket. */
  async connect(): Promise<Socket> {
    const socket = open(this.api).on('error', () => undefined)
    await once(socket, 'connect')
    return socket
  }

  /** Sends bytes and reads to the end of the connection. */
  async say(bytes: string | Uint8Array): Promise<string> {
    const socket = await this.connect()
    let heard = ''
    socket.on('data', (chunk: Buffer) => (heard += chunk.toString('latin1')))
    socket.write(bytes)
    await until(
      () => socket.closed,
      limitMs,
      () => sleep(5),
    )
    return heard
  }

  /** An image file with these bytes. */
  image(name: string, bytes: Uint8Array): string {
    const path = join(this.folder, name)
    // Whole at once: a machine may be reading it.
    writeFileSync(`${path}.new`, bytes)
    renameSync(`${path}.new`, path)
    return path
  }

  async #remove(): Promise<void> {
    for (const pid of [this.pid, ...this.#machines()]) {
      try {
        process.kill(pid, 'SIGKILL')
      } catch {
        // It has ended already.
      }
    }
    await until(() => this.#child!.exitCode !== null || this.#child!.signalCode !== null)
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 })
  }

  #machines(): number[] {
    try {
      return readdirSync(this.runtime).flatMap((name) => {
        try {
          return [JSON.parse(readFileSync(join(this.runtime, name, 'pid'), 'utf8')).pid as number]
        } catch {
          return []
        }
      })
    } catch {
      return []
    }
  }
}

/*
 * Echoes what is typed, and ends by the power button:
 *   mov al,'>'; mov dx,0x3f8; out dx,al
 *   poll: mov dx,0x3fd; in al,dx; test al,1; jz +5; mov dx,0x3f8; in al,dx; out dx,al
 *   mov dx,0x600; in ax,dx; test ah,1; jz poll; mov dx,0x604; mov ax,0x2000; out dx,ax; hlt
 */
const echo = 'b03ebaf803eebafd03eca8017405baf803eceeba0006edf6c40174eaba0406b80020eff4'

/** A machine with a console that echoes, a power button that works, and a screen. */
export function echoing(daemon: HttpDaemon, name: string): object {
  const file = daemon.image('echo.bin', Buffer.from(echo, 'hex'))
  return {
    name,
    mode: 'real',
    pc: true,
    screen: 'text',
    memoryBytes: 2 ** 20,
    payload: { file, format: 'flat' },
  }
}

/*
 * mov dx,0x3f8; mov al,'x'; out dx,al; jmp -3
 */
/** A machine that never stops to print. */
export function flooding(daemon: HttpDaemon, name: string): object {
  const file = daemon.image('flood.bin', Buffer.from('baf803b078eeebfd', 'hex'))
  const payload = { file, format: 'flat' }
  return { name, mode: 'real', pc: true, memoryBytes: 2 ** 20, payload }
}
