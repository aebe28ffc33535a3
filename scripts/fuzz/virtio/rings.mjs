// Random drivers of virtio devices: a Rust test, which does in short what it does here at length.
import { createHash } from 'node:crypto'

import { capture } from '../../run.mjs'

const RINGS = 1_000_000
const TEST = 'virtio::tests::fuzz'

/** The test takes a number. */
const numberOf = (seed) =>
  /^\d+$/.test(seed) ? seed : createHash('sha256').update(seed).digest().readUInt32LE()

/** Puts each kind of device through so many rings; what it found is on its output. */
export function rings(seed, count = RINGS) {
  const environment = { VMEXIT_FUZZ_RINGS: String(count), VMEXIT_FUZZ_SEED: `${numberOf(seed)}` }
  const command = ['cargo', 'test', '--package', 'devices', TEST, '--', '--nocapture']
  const { ok, output } = capture(command, { env: { ...process.env, ...environment } })
  console.log(ok ? output.match(/^.*\b(rings|drivers)\b.*$/gm)?.join('\n') : output)
  return ok
}
