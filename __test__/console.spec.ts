// Console text: every byte, in order, in result.output or in onData.
import { type Guest, type Route, type VirtualMachine, guests } from '../src/index.ts'
import { kvmTest, kvmTestBoth } from './helpers/kvm.ts'
import { machine, pattern, vmError } from './helpers/machine.ts'
import { affordable } from './helpers/speed.ts'

/** What the core gathers before it calls `onData`. */
const batchBytes = 16 * 1024

/** A machine in front of one `rep outsb` of `bytes` to port 0xe9. */
function printer(bytes: Uint8Array, routes: readonly Route[], guest: Guest = guests.stringIo) {
  const vm = machine(guest, routes)
  vm.memory.writeUint32(0x504, bytes.length)
  vm.memory.writeUint32(0x508, 0xe9)
  vm.memory.writeUint64(0x510, 0x1_0000n)
  vm.memory.write(0x1_0000, bytes)
  return vm
}

const allBytes = Uint8Array.from({ length: 256 }, (_, index) => 255 - index)

kvmTestBoth('all 256 bytes pass unchanged', async (t, run) => {
  using vm = printer(allBytes, [{ port: 0xe9, to: 'console' }])
  const result = await run(vm)
  t.deepEqual(result.output, allBytes)
  t.is(result.outputDroppedBytes, 0)

  const batches: Uint8Array[] = []
  const onData = (bytes: Uint8Array) => void batches.push(bytes)
  using heard = printer(allBytes, [{ port: 0xe9, to: 'console', onData }])
  const rest = await run(heard)
  t.deepEqual(new Uint8Array(Buffer.concat(batches)), allBytes)
  t.is(rest.output.length, 0)
})

kvmTestBoth('a run without text has an empty output', async (t, run) => {
  using vm = machine('f4 ; hlt', [{ port: 0xe9, to: 'console', onData: () => t.fail() }])
  const result = await run(vm)
  t.deepEqual(result.output, new Uint8Array(0))
  t.is(result.outputText, '')
})

kvmTestBoth('outputText is UTF-8', async (t, run) => {
  const bytes = new Uint8Array([...Buffer.from('Größe €'), 0xff, 0x0a])
  using vm = printer(bytes, [{ port: 0xe9, to: 'console' }])
  const result = await run(vm)
  t.is(result.outputText, 'Größe €\ufffd\n')
  t.deepEqual(result.output, bytes)
})

kvmTestBoth('onData gets batches, in order and complete', async (t, run) => {
  const bytes = pattern(affordable(2 * batchBytes + 1000))
  const batches: Uint8Array[] = []
  const routes: Route[] = [
    { port: 0xe9, to: 'console', onData: (batch) => void batches.push(batch) },
  ]
  using vm = printer(bytes, routes)
  t.is((await run(vm)).output.length, 0)
  t.true(Buffer.from(bytes).equals(Buffer.concat(batches)))
  // A slow machine may also deliver by time, but no batch is empty and none is a byte.
  t.true(batches.length >= 3)
  t.true(batches.every((batch) => batch.length > 0))
  t.true(batches.length < bytes.length / 16)
})

kvmTestBoth(
  "a batch is the handler's own: keeping or changing it harms nothing",
  async (t, run) => {
    const bytes = pattern(affordable(2 * batchBytes + 1000))
    const kept: Uint8Array[] = []
    const onData = (batch: Uint8Array) => {
      kept.push(batch.slice())
      batch.fill(0)
    }
    using vm = printer(bytes, [{ port: 0xe9, to: 'console', onData }])
    await run(vm)
    t.true(Buffer.from(bytes).equals(Buffer.concat(kept)))
    t.deepEqual(vm.memory.read(0x1_0000, 4), bytes.subarray(0, 4))
  },
)

/** Writes 'a' to 0xe9, 'b' to 0xea, 'c' to 0xe9 and 'd' to 0xea. */
const twoConsoles = `
  b0 61 e6 e9 ; mov $'a',%al; out %al,$0xe9
  b0 62 e6 ea ; mov $'b',%al; out %al,$0xea
  b0 63 e6 e9 ; mov $'c',%al; out %al,$0xe9
  b0 64 e6 ea ; mov $'d',%al; out %al,$0xea
  f4          ; hlt
`

function gatherer() {
  const gathered = { text: '' }
  const onData = (bytes: Uint8Array) => {
    gathered.text += Buffer.from(bytes).toString('latin1')
  }
  return { gathered, onData }
}

kvmTestBoth('consoles with and without onData stand side by side', async (t, run) => {
  const { gathered, onData } = gatherer()
  using vm = machine(twoConsoles, [
    { port: 0xe9, to: 'console' },
    { port: 0xea, to: 'console', onData },
  ])
  t.is((await run(vm)).outputText, 'ac')
  t.is(gathered.text, 'bd')
})

kvmTestBoth('consoles without onData share the output, those with one do not', async (t, run) => {
  using plain = machine(twoConsoles, [
    { port: 0xe9, to: 'console' },
    { port: 0xea, to: 'console' },
  ])
  t.is((await run(plain)).outputText, 'abcd')

  const [left, right] = [gatherer(), gatherer()]
  using vm = machine(twoConsoles, [
    { port: 0xe9, to: 'console', onData: left.onData },
    { port: 0xea, to: 'console', onData: right.onData },
  ])
  t.is((await run(vm)).outputText, '')
  t.deepEqual([left.gathered.text, right.gathered.text], ['ac', 'bd'])
})

kvmTestBoth('the output is that of one run', async (t, run) => {
  using vm = machine('b0 61 e6 e9 f4 b0 62 e6 e9 f4 ; a, hlt, b, hlt', [
    { port: 0xe9, to: 'console' },
  ])
  t.is((await run(vm)).outputText, 'a')
  t.is((await run(vm)).outputText, 'b')
})

kvmTestBoth('2- and 4-byte writes are 2 and 4 bytes of text', async (t, run) => {
  const guest = `
    b8 41 42 43 44 ; mov $0x44434241,%eax
    e7 e9          ; out %eax,$0xe9
    66 e7 e9       ; out %ax,$0xe9
    e6 e9          ; out %al,$0xe9
    f4             ; hlt
  `
  using vm = machine(guest, [{ port: 0xe9, to: 'console' }])
  t.is((await run(vm)).outputText, 'ABCDABA')
})

kvmTestBoth('text comes out whatever ends the run', async (t, run) => {
  /** Prints 'a'; what follows ends the run. */
  const print = 'b0 61 e6 e9 ; mov $0x61,%al; out %al,$0xe9\n'
  const ends: [reason: string, tail: string][] = [
    ['hlt', 'f4 ; hlt'],
    ['shutdown', '0f 0b ; ud2'],
    ['pio-in', 'e4 60 ; in $0x60,%al'],
    ['pio-out', 'e6 60 ; out %al,$0x60'],
    ['exit-port', 'e6 f4 ; out %al,$0xf4'],
    ['timeout', 'eb fe ; jmp to itself'],
  ]
  for (const [reason, tail] of ends) {
    const isTimed = reason === 'timeout'
    // On a busy host a guest may not have begun by then.
    for (let timeoutMs = isTimed ? 250 : 300_000; ; timeoutMs *= 4) {
      using vm = machine(print + tail, [
        { port: 0xe9, to: 'console' },
        { port: 0xf4, to: 'stop' },
      ])
      const result = await run(vm, { timeoutMs })
      const { gathered, onData } = gatherer()
      using heard = machine(print + tail, [
        { port: 0xe9, to: 'console', onData },
        { port: 0xf4, to: 'stop' },
      ])
      t.is((await run(heard, { timeoutMs })).reason, reason as never)
      const isEarly = result.outputText === '' || gathered.text === ''
      if (isTimed && isEarly && timeoutMs < 60_000) continue
      t.deepEqual([result.reason, result.outputText], [reason, 'a'])
      t.is(gathered.text, 'a', reason)
      break
    }
  }
})

kvmTestBoth('text arrives while the guest spins, long before the end', async (t, run) => {
  const arrived: string[] = []
  const vm: VirtualMachine = machine('b0 61 e6 e9 eb fe ; mov $0x61,%al; out; jmp to itself', [
    {
      port: 0xe9,
      to: 'console',
      onData(bytes) {
        arrived.push(Buffer.from(bytes).toString())
        vm.stop()
      },
    },
  ])
  const result = await run(vm)
  t.is(result.reason, 'stopped')
  t.deepEqual(arrived, ['a'])
  vm.close()
})

kvmTest('when onData returns a promise, the vCPU waits for it', async (t) => {
  const bytes = pattern(affordable(4 * batchBytes))
  const log: string[] = []
  let busy = 0
  const kept: Uint8Array[] = []
  const onData = async (batch: Uint8Array) => {
    busy++
    log.push(`${busy}`)
    await new Promise((resolve) => setTimeout(resolve, 2))
    kept.push(batch)
    busy--
  }
  using vm = printer(bytes, [{ port: 0xe9, to: 'console', onData }])
  t.is((await vm.run({ timeoutMs: 300_000 })).reason, 'hlt')
  t.true(Buffer.from(bytes).equals(Buffer.concat(kept)))
  t.is(busy, 0)
  t.deepEqual([...new Set(log)], ['1'])
})

kvmTest('under runSync() onData may not return a promise', (t) => {
  using vm = printer(pattern(10), [{ port: 0xe9, to: 'console', onData: async () => undefined }])
  const message = /^onData of routes\[0\] \(port 0xe9\) returned a promise.*use run\(\)$/
  t.throws(() => vm.runSync({ timeoutMs: 300_000 }), vmError('ERR_ASYNC_HANDLER', message))
})
