// What can be asked of a machine that has begun, by method.
import { writeFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'

import { ManagerError } from '../supervisor/errors.ts'
import type { Methods, Params } from '../wire/index.ts'
import type { Machine } from './machine.ts'
import { memoryBytesOf } from './making.ts'
import { checkKeys, checkMemory, checkPath } from './params.ts'
import { restore, save } from './saved/saving.ts'

type Deed<M extends keyof Methods> = (
  machine: Machine,
  params: Params,
) => Methods[M]['result'] | Promise<Methods[M]['result'] | void> | void

/** All of them but `start` and `status`, which need no machine. */
export const deeds: { readonly [M in Exclude<keyof Methods, 'start' | 'status'>]: Deed<M> } = {
  pause: (machine) => machine.pause(),
  resume: (machine) => machine.resume(),
  reset: (machine) => machine.reset(),
  powerButton: ({ made }) => made.vm.powerButton(),
  nmi: ({ made }) => made.vm.nmi(),
  kill: (machine) => machine.kill(),
  sendKeys,
  memory: ({ made }, params) => {
    const { gpa, bytes } = checkMemory(params)
    return { base64: Buffer.from(made.vm.memory.read(gpa, bytes)).toString('base64') }
  },
  screenshot,
  stats,
  save: (machine, { folder }) => save(machine, checkPath('folder', folder)),
  restore: (machine, { folder }) => restore(machine, checkPath('folder', folder)),
}

async function sendKeys({ made }: Machine, params: Params): Promise<void> {
  const { codes, holdMs } = checkKeys(params)
  const { keyboard } = made.vm
  const down: string[] = []
  try {
    for (const code of codes) {
      keyboard.down(code)
      down.push(code)
    }
    if (holdMs > 0) await sleep(holdMs)
  } finally {
    if (!made.vm.closed) for (const code of down.toReversed()) keyboard.up(code)
  }
}

async function screenshot(
  { made }: Machine,
  params: Params,
): Promise<{ width: number; height: number }> {
  const file = checkPath('file', params['file'])
  const { screen } = made.vm
  if (!screen) throw new ManagerError('ERR_NOT_SUPPORTED', 'the machine has no screen')
  const { width, height } = screen
  await writeFile(file, screen.png(), { mode: 0o600 })
  return { width, height }
}

function stats({ made }: Machine): Methods['stats']['result'] {
  const { vm, options } = made
  const { exits, routes } = vm.counters()
  const claims = Array.isArray(options.routes) ? options.routes : []
  return {
    at: new Date().toISOString(),
    memoryBytes: memoryBytesOf(options),
    vcpus: vm.vcpus.length,
    exits: Object.values(exits).reduce((sum, count) => sum + count, 0),
    exitsByReason: exits,
    routes: routes.map(({ reads, writes }, index) => ({
      route: placeOf(claims[index], index),
      reads,
      writes,
    })),
  }
}

/** Where a route is, as `port 0x3f8`. */
function placeOf(claim: { port?: number; gpa?: number } | undefined, index: number): string {
  if (claim?.port !== undefined) return `port 0x${claim.port.toString(16)}`
  return claim?.gpa === undefined ? `routes[${index}]` : `gpa 0x${claim.gpa.toString(16)}`
}
