// npm run bench:boot: a kernel's way to its init, under vmexit and under QEMU's microvm, inside the emulated machine.
import { setUp } from './build.mjs'
import { runCommand } from './command.mjs'
import { fetchParts } from './fetch.mjs'
import { say } from './job.mjs'

const RACE_SECONDS = 900

/** Runs `bench/boot.mjs` with these words inside, and returns its exit code. */
export async function race(words) {
  await setUp()
  const { qemu } = await fetchParts(say)
  const command = [
    ...['env', `LD_LIBRARY_PATH=${qemu.env.LD_LIBRARY_PATH ?? ''}`, 'node', 'bench/boot.mjs'],
    ...['--qemu', qemu.command, '--firmware', qemu.firmware, ...words],
  ]
  const folders = { [qemu.firmware]: qemu.firmware }
  return runCommand(command, RACE_SECONDS, { programs: [qemu.command], folders })
}
