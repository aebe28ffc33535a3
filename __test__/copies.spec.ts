// A module registry of its own, as test runners make for each file, loads the package's JavaScript
// again: beside one binary.
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import test from 'ava'
import type * as Package from '../src/index.ts'

const require = createRequire(import.meta.url)

/** The package as a fresh module registry loads it; `whole` with the binary loaded once more. */
function copy(whole = false): typeof Package {
  for (const path of Object.keys(require.cache)) {
    if (/[/]dist[/]index\.cjs$/.test(path) || (whole && /\.(node|cjs)$/.test(path))) {
      delete require.cache[path]
    }
  }
  return require('../dist/index.cjs') as typeof Package
}

/** in al, 0x60; inc al; out 0x61, al; out 0x62, al; hlt */
const image = Uint8Array.of(0xe4, 0x60, 0xfe, 0xc0, 0xe6, 0x61, 0xe6, 0x62, 0xf4)

/** Runs that image with what one copy exports, and returns what its handlers were told. */
async function run(from: typeof Package, value: number, sync: boolean): Promise<number[]> {
  const told: number[] = []
  const vm = new from.VirtualMachine({
    mode: 'real',
    payload: { image },
    routes: [
      { port: 0x60, device: { read: sync ? () => value : async () => value } },
      { port: 0x61, device: { write: (_, __, written) => void told.push(Number(written)) } },
      { port: 0x62, to: 'queue', onBatch: (batch) => void told.push(batch.length) },
    ],
  })
  const { reason } = sync
    ? vm.runSync({ timeoutMs: 300_000 })
    : await vm.run({ timeoutMs: 300_000 })
  vm.close()
  return reason === 'hlt' ? told : [-1]
}

for (const whole of [false, true]) {
  const what = whole ? 'package, binary included,' : "package's JavaScript"
  test.serial(`two copies of the ${what} run machines side by side`, async (t) => {
    if (!existsSync(new URL('../dist/index.cjs', import.meta.url))) {
      t.log('skipped: this tree has no bundle, as where lines are counted')
      return t.pass()
    }
    const [first, second] = [copy(whole), copy(whole)]
    t.not(first.VirtualMachine, second.VirtualMachine)
    for (const sync of [true, false]) {
      t.deepEqual(await run(first, 1, sync), [2, 1])
      t.deepEqual(await run(second, 11, sync), [12, 1])
      t.deepEqual(await run(first, 21, sync), [22, 1])
    }
    const both = await Promise.all([first, second, first].map((from, i) => run(from, i, false)))
    t.deepEqual(both, [
      [1, 1],
      [2, 1],
      [3, 1],
    ])
  })
}
