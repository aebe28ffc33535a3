// @ts-check
import { readFileSync } from 'node:fs'
import { VirtualMachine } from 'vmexit'
import { build } from './build.mjs'

/** Compiles the guest and runs it: the prime numbers up to a limit, as it prints them. */
export async function run(/** @type {number} */ limit) {
  const vm = new VirtualMachine({
    mode: 'long',
    memoryBytes: 2 ** 22,
    payload: { image: readFileSync(build()) },
    routes: [
      { port: 0xe9, to: 'console' },
      { port: 0x100, length: 4, device: { read: () => limit } },
      { port: 0xf4, to: 'stop' },
    ],
  })
  try {
    return await vm.run({ timeoutMs: 60_000 })
  } finally {
    vm.close()
  }
}
