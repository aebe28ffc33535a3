// In which asynchronous context handlers run, and whether its store is collected. Prints what it saw as JSON.
//
//   node --expose-gc context.mjs
import { AsyncLocalStorage } from 'node:async_hooks'
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises'
import { VirtualMachine } from 'vmexit'

const storage = new AsyncLocalStorage()
const seen = []
const note = (kind) => void seen.push(`${kind} ${storage.getStore()?.name ?? 'none'}`)

// 1: in $0x10,%al; out %al,$0x11; out %al,$0x12; out %al,$0x13; in $0x20,%al; out %al,$0xe9; hlt; jmp 1b
const image = Uint8Array.from(Buffer.from('e410e611e612e613e420e6e9f4ebf1', 'hex'))
const kinds = ['onBatch', 'onData', 'onEvent', 'onExit', 'read', 'write']

const answer = async (kind) => {
  note(kind)
  await turn()
  note(kind)
  return 7
}

const make = () =>
  new VirtualMachine({
    mode: 'real',
    payload: { image },
    routes: [
      { port: 0x10, device: { read: () => answer('read') } },
      { port: 0x11, device: { write: () => note('write') } },
      { port: 0x12, to: 'queue', onBatch: () => note('onBatch') },
      { port: 0x13, to: 'event', onEvent: () => note('onEvent') },
      { port: 0xe9, to: 'console', onData: () => note('onData') },
    ],
  })

let left = 0
const registry = new FinalizationRegistry(() => left--)
const isKept = () => left > 0

/** Runs in a store to which nothing else refers; which kinds of handlers saw it, and which saw another. */
async function runIn(vm, name) {
  const run = () => vm.run({ timeoutMs: 300_000, onExit: () => answer('onExit') })
  if (name === 'none') await run()
  else {
    const store = { name }
    registry.register(store, undefined)
    left++
    await storage.run(store, run)
  }
  // The count of an `event` route may come after the run.
  for (let times = 0; times < 20_000 && !seen.includes(`onEvent ${name}`); times++) await sleep(5)
  const [own, others] = [[], []]
  for (const one of new Set(seen.splice(0))) {
    const [kind, store] = one.split(' ')
    if (store === name) own.push(kind)
    else others.push(one)
  }
  return { all: own.toSorted().join() === kinds.join(), others }
}

async function main() {
  const vm = make()
  const runs = {}
  // The first one of this process is in a store.
  for (const name of ['first', 'second', 'none', 'third']) runs[name] = await runIn(vm, name)
  for (let times = 0; times < 5000 && isKept(); times++) {
    globalThis.gc()
    await sleep(20)
  }
  console.log(JSON.stringify({ runs, left, closed: vm.closed }))
  vm.close()
}

await main()
