import { execFile } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

import type { ExecutionContext } from 'ava'
import type { MachineDefinition } from 'vmexit'

import { type Image, fromRgba } from '../../../../__test__/fixtures/viewers/images.ts'
import { decodePng } from '../../../../__test__/helpers/png.ts'
import { startDaemon } from '../../dist/index.js'
import type { Supervisor } from '../../src/supervisor/interface.ts'
import { temporary } from '../helpers/folder.ts'
import { withClients } from './clients.ts'
import { echoKernel } from './guests.ts'

/** A daemon and what reaches it. */
export interface Served {
  readonly supervisor: Supervisor
  /** For clients of libvirt. */
  readonly uri: string
  /** A kernel that echoes. */
  readonly kernel: string
  /** What clients asked for in vain. */
  readonly unanswered: readonly string[]
  /** Runs a client to its end. */
  readonly run: (...words: string[]) => Promise<Ended>
}

/** What a client said. */
interface Ended {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

function ended([command, ...args]: readonly string[], env: NodeJS.ProcessEnv): Promise<Ended> {
  return new Promise((resolve) => {
    execFile(command!, args, { env, timeout: 600_000 }, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : 1
      resolve({ code, stdout, stderr })
    })
  })
}

/** A machine that echoes, with a serial port and a screen. */
export function echoes(
  name: string,
  { kernel }: Pick<Served, 'kernel'>,
  manager?: { readonly vnc: { readonly password: string } },
): MachineDefinition {
  return {
    name,
    pc: true,
    mode: 'protected',
    screen: 'text',
    memoryBytes: 16 * 2 ** 20,
    payload: { file: kernel },
    ...(manager && { manager }),
  } as MachineDefinition
}

/** A daemon in folders of its own, whose machines end with the test. */
export async function served(t: ExecutionContext): Promise<Served> {
  const folder = temporary(t)
  const [state, runtime] = [join(folder, 'state'), join(folder, 'run')]
  const kernel = join(folder, 'echo.bin')
  writeFileSync(kernel, echoKernel())
  const unanswered: string[] = []
  const daemon = await startDaemon({ state, runtime, log: (line) => unanswered.push(line) })
  const { supervisor } = daemon
  t.teardown(async () => {
    const running = supervisor.list().filter(({ pid }) => pid !== undefined)
    await Promise.allSettled(running.map(({ name }) => supervisor.kill(name)))
    await daemon.close()
  })
  const uri = `vmexit:///system?socket=${daemon.libvirt}`
  const run = async (...words: string[]): Promise<Ended> =>
    ended(await withClients(words), { ...process.env, LIBVIRT_DEFAULT_URI: uri, HOME: folder })
  return { supervisor, uri, kernel, unanswered, run }
}

/** What a machine's screen shows. */
export async function screenOf({ supervisor }: Served, name: string): Promise<Image> {
  const { width, height, rgb } = decodePng(await supervisor.screenshot(name))
  const rgba = Buffer.alloc(width * height * 4)
  for (let at = 0; at < width * height; at++) rgb.copy(rgba, at * 4, at * 3, at * 3 + 3)
  return fromRgba(width, height, rgba)
}

/** The codes of the first keys, as an echoing machine shows them in white on blue. */
export async function shownCodes(
  { supervisor }: Served,
  name: string,
  count: number,
): Promise<number[]> {
  const end = performance.now() + 300_000
  for (;;) {
    const cells = Buffer.from(await supervisor.memory(name, 0xb_8000, count * 2))
    const words = Array.from({ length: count }, (_, at) => cells.readUInt16LE(at * 2))
    const codes = words.filter((word) => word >> 8 === 0x1f).map((word) => word & 0xff)
    if (codes.length === count || performance.now() > end) return codes
    await sleep(50)
  }
}
