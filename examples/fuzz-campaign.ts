// A fuzz campaign: many jobs try random records, share the inputs that reach new code, and the
// first crash ends it, with registers and an explanation. Without a server it runs in child
// processes of this host; with --redis on every host that has a worker and this file's job module:
//
//   node --import @oxc-node/core/register examples/fuzz-campaign.ts [--redis redis://HOST]
//
// prints: crash in round-…: record … (kind 0x7f, length …)
//         RIP … after …
//         corpus: … records
import { parseArgs } from 'node:util'
import { fleet } from '@vmexit/fleet'

const { values } = parseArgs({ options: { redis: { type: 'string' } } })

/** One job for each seed, as many as are wanted. */
function* rounds() {
  for (let seed = 1; ; seed++)
    yield { id: `round-${seed}`, module: 'fuzz-parser', input: { seed, records: 40 } }
}

interface Found {
  readonly crash?: {
    readonly record: number
    readonly kind: number
    readonly length: number
    readonly registers: { readonly rip: string; readonly rsp: string }
    readonly explain: string
  }
  readonly corpus: number
}

const options = {
  modules: new URL('fleet-modules', import.meta.url).pathname,
  timeoutMs: 30_000,
  ...(values.redis !== undefined && { connection: values.redis }),
}
for await (const { id, value, error } of fleet.map(rounds(), options)) {
  if (error) throw new Error(`${id}: ${error.message}`)
  const { crash, corpus } = value as unknown as Found
  if (!crash) continue
  const { record, kind, length, registers, explain } = crash
  console.log(`crash in ${id}: record ${record} (kind 0x${kind.toString(16)}, length ${length})`)
  console.log(`RIP 0x${BigInt(registers.rip).toString(16)} after ${explain.split('\n')[0]}`)
  console.log(`corpus: ${corpus} records`)
  // Leaving the loop ends the other jobs.
  break
}
