// Several vCPUs, a thread each under run(). Without an irqchip all start at the entry, with their
// index in RDI.
import { setTimeout as sleep } from 'node:timers/promises'

import type { WriteBatch, Route, RunOptions, VirtualMachine } from '../src/index.ts'
import { numbered } from './fixtures/numbered.ts'
import { serialTest } from './fixtures/serial.ts'
import { kvmTest } from './helpers/kvm.ts'
import { machine, vmError } from './helpers/machine.ts'
import { affordable } from './helpers/speed.ts'

const soakMs = process.env['VMEXIT_SOAK'] === '1' ? 60_000 : 0
/** A soak ends by the clock, before they are all. */
const count = soakMs > 0 ? 0xff_ffff : affordable(1000)
const port = { port: 0x200, length: 4 }

function four(route: Route): VirtualMachine {
  const vm = machine(numbered, [route], { vcpus: 4 })
  vm.memory.writeUint32(0x500, count)
  vm.memory.writeUint32(0x508, 4)
  return vm
}

/** What each vCPU wrote, which must be 0, 1, 2, … */
class Sequences {
  readonly next = [0, 0, 0, 0]

  take(value: number): void {
    const vcpu = value >>> 24
    if ((value & 0xff_ffff) !== this.next[vcpu]) throw new Error(`${value} of vCPU ${vcpu}`)
    this.next[vcpu]! += 1
  }
}

const routes: Record<string, (seen: Sequences) => Route> = {
  device: (seen) => ({
    ...port,
    device: {
      write(_offset, _size, value, vcpu) {
        if (Number(value) >>> 24 !== vcpu) throw new Error(`${value} from vCPU ${vcpu}`)
        seen.take(Number(value))
      },
    },
  }),
  'device that promises': (seen) => {
    let isAsked = false
    return {
      ...port,
      device: {
        async write(_offset, _size, value) {
          if (isAsked) throw new Error('asked while a question is open')
          isAsked = true
          await Promise.resolve()
          seen.take(Number(value))
          isAsked = false
        },
      },
    }
  },
  queue: (seen) => ({
    ...port,
    to: 'queue',
    onBatch: (batch: WriteBatch) => {
      for (const { value } of batch) seen.take(Number(value))
    },
  }),
}

for (const [name, route] of Object.entries(routes)) {
  serialTest(
    `four vCPUs write to one ${name}: nothing is lost, each keeps its order`,
    async (t) => {
      const seen = new Sequences()
      using vm = four(route(seen))
      const soak =
        soakMs > 0 ? setTimeout(() => vm.memory.writeUint32(0x500, 0), soakMs) : undefined
      const result = await vm.run({ timeoutMs: 600_000 })
      clearTimeout(soak)
      t.is(result.reason, 'hlt')
      t.true([0, 1, 2, 3].includes(result.vcpu!))
      const written = vm.vcpus.map((vcpu) => Number(vcpu.registers().rcx))
      t.deepEqual(seen.next, written)
      if (soakMs === 0) t.deepEqual(written, [count, count, count, count])
      const sum = written.reduce((all, some) => all + some)
      t.log(`${sum} writes in ${(result.durationMs / 1000).toFixed(1)} s`)
      t.is(vm.counters().routes[0]?.writes, sum)
    },
  )
}

kvmTest('a promise of one device does not hold up another vCPU that asks another', async (t) => {
  // 89 f8 mov %edi,%eax · 01 f8 add %edi,%eax · 66 ba 00 02 mov $0x200,%dx · 01 fa add %edi,%edx ee
  // out %al,(%dx) · eb fd jmp .-1
  const listing = '66 ba 00 02 ; mov\n 01 fa ; add\n ee ; out\n eb fd ; jmp'
  let seen = 0
  let release = (): void => undefined
  const stuck = new Promise<void>((resolve) => (release = resolve))
  using vm = machine(
    listing,
    [
      { port: 0x200, device: { write: () => stuck } },
      {
        port: 0x201,
        device: {
          write: () => {
            if (++seen === 1000) vm.stop()
          },
        },
      },
    ],
    { vcpus: 2 },
  )
  const { reason, vcpu } = await vm.run({ timeoutMs: 300_000 })
  release()
  t.deepEqual([reason, vcpu, seen], ['stopped', null, 1000])
})

kvmTest('each vCPU has registers of its own', async (t) => {
  using vm = machine('eb fe ; 1: jmp 1b', [], { vcpus: 3 })
  t.deepEqual(
    vm.vcpus.map(({ index }) => index),
    [0, 1, 2],
  )
  t.deepEqual(
    vm.vcpus.map((vcpu) => vcpu.registers().rdi),
    [0n, 1n, 2n],
  )
  vm.vcpus[2]!.setRegisters({ rbx: 7n })
  vm.setRegisters({ rbx: 5n })
  t.deepEqual(
    vm.vcpus.map((vcpu) => vcpu.registers().rbx),
    [5n, 0n, 7n],
  )
  const running = vm.run()
  t.throws(() => vm.vcpus[1]!.registers(), vmError('ERR_VM_BUSY'))
  await sleep(5)
  vm.stop()
  t.is((await running).reason, 'stopped')
})

kvmTest('an exit of each is reported once, and reply() answers the one that was', async (t) => {
  // e4 61  in $0x61,%al · eb fe  jmp .
  using vm = machine('e4 61 eb fe ;', [], { vcpus: 2 })
  const ended: (number | null)[] = []
  for (let run = 0; run < 2; run++) {
    const result = await vm.run({ timeoutMs: 300_000 })
    t.is(result.reason, 'pio-in')
    ended.push(result.vcpu)
    vm.reply(0x40 + result.vcpu!)
  }
  t.deepEqual(ended.toSorted(), [0, 1])
  t.deepEqual(
    vm.vcpus.map((vcpu) => vcpu.registers().rax),
    [0x40n, 0x41n],
  )
})

kvmTest('an unclaimed exit that came after the end asks the onExit of the next run', async (t) => {
  const listing = `
    89 f8 ; mov %edi,%eax
    e6 61 ; out %al,$0x61
    e6 62 ; out %al,$0x62
    eb fe ; jmp .
  `
  for (let round = 0; round < 20; round++) {
    using vm = machine(listing, [], { vcpus: 2 })
    const { reason, vcpu } = await vm.run({ timeoutMs: 300_000 })
    t.is(reason, 'pio-out')
    const asked: number[][] = []
    const onExit: NonNullable<RunOptions['onExit']> = (exit) => {
      if (exit.reason !== 'pio-out') return false
      asked.push([exit.port, exit.data[0]!])
      if (asked.length === 3) vm.stop()
      return undefined
    }
    t.is((await vm.run({ timeoutMs: 300_000, onExit })).reason, 'stopped')
    const first = asked.filter((one) => one[0] === 0x61)
    t.deepEqual(first, [[0x61, 1 - vcpu!]])
    t.is(asked.length, 3)
  }
})

kvmTest('runSync has one thread', (t) => {
  using vm = machine('f4 ;', [], { vcpus: 2 })
  t.throws(() => vm.runSync(), vmError('ERR_INVALID_OPTION', /2 vCPUs; use run\(\)/))
})

kvmTest('close() in mid-burst ends every vCPU', async (t) => {
  for (let round = 0; round < 20; round++) {
    let asked = 0
    const vm = machine(
      'ee eb fd ;',
      [{ port: 0, device: { write: () => void (asked++ > round && vm.close()) } }],
      { vcpus: 4 },
    )
    await t.throwsAsync(vm.run(), vmError('ERR_VM_CLOSED'))
    const before = asked
    await sleep(1)
    t.is(asked, before)
  }
})
