// The process of a machine, or of a group of them. It outlives whoever began it.
import { setTimeout as sleep } from 'node:timers/promises'

import { readArguments } from './arguments.ts'
import { keepComplaintsShort } from './complaints.ts'
import { Group } from './group.ts'
import { Station } from './station.ts'

/** How long machines may take to end when the process is asked to. */
const endMs = 5000

const { runtime, state, name, group } = readArguments(process.argv.slice(2))
// What is made here is this user's alone.
process.umask(0o077)
keepComplaintsShort()
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined)
process.on('SIGHUP', () => undefined)

const places = { runtime, state }
const host =
  name === undefined ? await Group.open(places, group!) : await Station.open(places, name)

const complain = (error: unknown): void => {
  process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`)
  // Of several machines nobody knows whose code it was, and they go on.
  if (host instanceof Station) host.fail(error)
}
process.on('uncaughtException', complain)
process.on('unhandledRejection', complain)

const leave = async (): Promise<void> => {
  await Promise.race([host.kill(), sleep(endMs)])
  await Promise.race([host.over.catch(() => undefined), sleep(endMs)])
  process.exit(0)
}
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => void leave())

process.stdout.end('ready\n')
const code = await host.over.then(
  () => 0,
  () => 1,
)
await host.close()
process.exit(code)
