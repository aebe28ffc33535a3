import { readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { type Crash, crashOf } from '../../wire/index.ts'
import type { MachineState } from '../interface.ts'

/** What a later daemon has to know of a machine's last start. */
export interface LastRun {
  /** The state it came to. */
  readonly state: MachineState
  /** Counts the starts of all machines. */
  readonly id?: number
  /** When it was started. */
  readonly startedAt?: string
  /** Why it ended. */
  readonly reason?: string
  /** What the guest gave a stop port. */
  readonly exitCode?: number
  /** What is known of a crash of the guest's own. */
  readonly crash?: Crash
  /** The group whose process it was in. */
  readonly group?: string
  /** Which boot of the host it was. */
  readonly boot?: string
  /** Whether a restart was to come. */
  readonly restart?: boolean
}

const states: ReadonlySet<unknown> = new Set<MachineState>([
  'starting',
  'running',
  'paused',
  'stopping',
  'ended',
  'crashed',
])

/** Keeps it in a machine's folder: no loss of power tears it, though one may bring the old back. */
export async function writeLast(folder: string, last: LastRun): Promise<void> {
  const path = join(folder, 'last.json')
  await writeFile(`${path}.new`, `${JSON.stringify(last)}\n`, { mode: 0o600 })
  await rename(`${path}.new`, path)
}

/** Reads it; what is not there, or broken, is a machine that was never started. */
export async function readLast(folder: string): Promise<LastRun> {
  try {
    const text = await readFile(join(folder, 'last.json'), 'utf8')
    const value = JSON.parse(text) as Record<string, unknown>
    if (!states.has(value['state'])) return { state: 'defined' }
    const crash = crashOf(value['crash'])
    return {
      state: value['state'] as MachineState,
      ...(Number.isSafeInteger(value['id']) ? { id: value['id'] as number } : {}),
      ...texts(value),
      ...(Number.isSafeInteger(value['exitCode']) ? { exitCode: value['exitCode'] as number } : {}),
      ...(crash === undefined ? {} : { crash }),
      ...(value['restart'] === true ? { restart: true } : {}),
    }
  } catch {
    return { state: 'defined' }
  }
}

function texts(value: Record<string, unknown>): Partial<LastRun> {
  const kept = ['startedAt', 'reason', 'group', 'boot'].filter(
    (key) => typeof value[key] === 'string',
  )
  return Object.fromEntries(kept.map((key) => [key, value[key]]))
}
