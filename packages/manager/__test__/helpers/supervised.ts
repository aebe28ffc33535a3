// A supervisor on directories of its own, whose machines run in real processes and end with the
// test, also when it fails.
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import type { ExecutionContext } from 'ava'
import type { MachineDefinition } from 'vmexit'

import { until } from '../../../../__test__/fixtures/until.ts'
import { asIdentity, isAlive, openStore, type Store } from '../../src/store/index.ts'
import type { ManagerEvent } from '../../src/supervisor/interface.ts'
import type { Backoff } from '../../src/supervisor/machine/restart.ts'
import {
  createSupervisor,
  type OwnedSupervisor,
  type SupervisorOptions,
} from '../../src/supervisor/supervisor.ts'

/** The built program of a machine's process. */
const machineProgram = fileURLToPath(new URL('../../dist/machine/main.js', import.meta.url))

/** Restarts that tests can wait for. */
export const quick: Backoff = { firstMs: 20, longestMs: 100, tries: 3, healthyMs: 3_600_000 }

/** Directories for a supervisor; what runs there ends with the test. */
export interface Place {
  readonly state: string
  readonly runtime: string
  /** An image file with these bytes. */
  image(name: string, bytes: Uint8Array): string
  /** Processes that run there. */
  pids(): number[]
}

/** Makes directories in a place short enough for sockets. */
export function place(t: ExecutionContext): Place {
  const folder = mkdtempSync('/tmp/vmx-')
  const state = join(folder, 's')
  const runtime = join(folder, 'r')
  mkdirSync(runtime, { mode: 0o700 })
  const pids = (): number[] => [
    ...new Set(readdirSync(runtime).flatMap((name) => pidIn(runtime, name))),
  ]
  t.teardown(async () => {
    for (const pid of pids()) process.kill(pid, 'SIGKILL')
    await until(() => pids().length === 0)
    rmSync(folder, { recursive: true, force: true })
  })
  const image = (name: string, bytes: Uint8Array): string => {
    const path = join(folder, name)
    // Whole at once: a machine may be reading it.
    writeFileSync(`${path}.new`, bytes)
    renameSync(`${path}.new`, path)
    return path
  }
  return { state, runtime, image, pids }
}

function pidIn(runtime: string, name: string): number[] {
  try {
    const found = asIdentity(JSON.parse(readFileSync(join(runtime, name, 'pid'), 'utf8')))
    return found !== undefined && isAlive(found) ? [found.pid] : []
  } catch {
    return []
  }
}

/** A supervisor and what it told. */
export interface Supervised {
  readonly supervisor: OwnedSupervisor
  readonly store: Store
  readonly events: ManagerEvent[]
  readonly lines: string[]
  /** The types of the events of a machine so far. */
  types(machine: string): string[]
  /** Lets go of everything; the machines go on. */
  close(): Promise<void>
}

/** Opens a supervisor there. */
export async function supervise(
  t: ExecutionContext,
  { state, runtime }: Place,
  options: Partial<SupervisorOptions> = {},
): Promise<Supervised> {
  const store = await openStore(state)
  const lines: string[] = []
  const supervisor = await createSupervisor({
    store,
    runtime,
    command: [process.execPath, machineProgram],
    backoff: quick,
    log: (line) => lines.push(line),
    ...options,
  })
  const events: ManagerEvent[] = []
  supervisor.onEvent((event) => events.push(event))
  let closing: Promise<void> | undefined
  const close = (): Promise<void> => (closing ??= supervisor.close().then(() => store.close()))
  t.teardown(close)
  const types = (machine: string): string[] =>
    events.filter((event) => event.machine === machine).map(({ type }) => type)
  return { supervisor, store, events, lines, types, close }
}

/** A guest that sleeps for ever, and costs no processor time. */
export const sleeper = (there: Place): MachineDefinition => ({
  mode: 'real',
  irqchip: true,
  memoryBytes: 2 ** 20,
  payload: {
    file: there.image('sleeper.bin', Uint8Array.of(0xfa, 0xf4, 0xeb, 0xfd)),
    format: 'flat',
  },
})

/*
 * b0 3e        mov al,'>'
 * ba f8 03     mov dx,0x3f8
 * ee           out dx,al
 * ba fd 03     mov dx,0x3fd     ; what is typed is sent back
 * ec           in al,dx
 * a8 01        test al,1
 * 74 05        jz +5
 * ba f8 03     mov dx,0x3f8
 * ec           in al,dx
 * ee           out dx,al
 * ba 00 06     mov dx,0x600     ; the power button turns it off
 * ed           in ax,dx
 * f6 c4 01     test ah,1
 * 74 ea        jz -22
 * ba 04 06     mov dx,0x604
 * b8 00 20     mov ax,0x2000
 * ef           out dx,ax
 * f4           hlt
 */
const echo = 'b03ebaf803eebafd03eca8017405baf803eceeba0006edf6c40174eaba0406b80020eff4'

/** A guest with a console that echoes, and a power button that works. */
export const echoing = (there: Place): MachineDefinition => ({
  mode: 'real',
  pc: true,
  memoryBytes: 2 ** 20,
  payload: { file: there.image('echo.bin', Buffer.from(echo, 'hex')), format: 'flat' },
})

/** A guest that ends at once with a code. */
export const ending = (there: Place, code: number): MachineDefinition => ({
  mode: 'real',
  memoryBytes: 2 ** 20,
  // mov al,CODE; out 0xf4,al
  payload: {
    file: there.image(`end-${code}.bin`, Uint8Array.of(0xb0, code, 0xe6, 0xf4)),
    format: 'flat',
  },
  routes: [{ port: '0xf4', to: 'stop' }],
})

/** A guest whose processor shuts down at once: a triple fault, which is no orderly end. */
export const crashing = (): MachineDefinition => ({
  mode: 'long',
  payload: { guest: 'triple-fault' },
})
