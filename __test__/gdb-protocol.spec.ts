// The stub for gdb, by the bytes of its protocol: who is served, what packets do, what ends mean.
import { lstatSync, existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

import type { ExecutionContext } from 'ava'

import { listenGdb } from '../src/gdb/index.ts'
import { type VirtualMachine, guests } from '../src/index.ts'
import { Client, packet } from './fixtures/gdb/client.ts'
import { until } from './fixtures/until.ts'
import { kvmTest } from './helpers/kvm.ts'
import { machine, vmError } from './helpers/machine.ts'

/** inc eax; jmp -4 */
const counting = 'ff c0 eb fc'

async function served(t: ExecutionContext, vm: VirtualMachine) {
  const gdb = await listenGdb(vm)
  t.teardown(() => gdb.close())
  return gdb.path!
}

const little = (value: bigint, bytes: number): string => {
  const big = value.toString(16).padStart(bytes * 2, '0')
  return Buffer.from(Buffer.from(big, 'hex').toReversed()).toString('hex')
}

kvmTest('a Unix socket is for this user only, and goes with the server', async (t) => {
  using vm = machine(guests.spin)
  const gdb = await listenGdb(vm)
  t.is(gdb.port, undefined)
  t.is(lstatSync(gdb.path!).mode & 0o777, 0o600)
  t.is(lstatSync(dirname(gdb.path!)).mode & 0o777, 0o700)
  await gdb.close()
  t.false(existsSync(dirname(gdb.path!)))
  const folder = mkdtempSync(join(tmpdir(), 'gdb-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const named = await listenGdb(vm, { path: join(folder, 'socket') })
  t.is(lstatSync(named.path!).mode & 0o777, 0o600)
  await named.close()
  t.false(existsSync(named.path!))
})

kvmTest('options are checked, and a port that is taken is named', async (t) => {
  using vm = machine(guests.spin)
  const refused = vmError('ERR_INVALID_OPTION')
  for (const options of [
    { port: 65_536 },
    { port: 1.5 },
    { path: '' },
    { path: 'a\0b' },
    { port: 0, path: '/tmp/x' },
    { host: '0.0.0.0' },
    { symbols: new Uint8Array(100) },
    { symbols: 'elf' },
    { path: join(tmpdir(), 'no-such-folder', 'socket') },
  ]) {
    await t.throwsAsync(listenGdb(vm, options as never), refused, JSON.stringify(options))
  }
  await t.throwsAsync(listenGdb({} as never), refused)
  await using gdb = await listenGdb(vm, { port: 0 })
  await t.throwsAsync(listenGdb(vm, { port: gdb.port! }), vmError('ERR_INVALID_OPTION', /in use/))
  vm.close()
  await t.throwsAsync(listenGdb(vm), vmError('ERR_VM_CLOSED'))
})

kvmTest('a connection that begins with anything else is closed, and halts nothing', async (t) => {
  using vm = machine(guests.spin)
  await using gdb = await listenGdb(vm, { port: 0 })
  const run = vm.run()
  for (const text of ['GET / HTTP/1.1\r\nHost: x\r\n\r\n', '\x16\x03\x01\x02\x00', ' $?#3f']) {
    using client = await Client.connect(gdb.port!)
    client.write(text)
    await client.closed()
    t.is(client.said, '')
    t.false(vm.paused)
    t.true(await until(() => !gdb.connected))
  }
  vm.stop()
  t.is((await run).reason, 'stopped')
})

kvmTest('a second client is refused while the first one stays', async (t) => {
  using vm = machine(guests.spin)
  const path = await served(t, vm)
  using first = await Client.connect(path)
  t.regex(await first.ask('?'), /^T05thread:1;/)
  using second = await Client.connect(path)
  second.write(packet('?'))
  await second.closed()
  t.is(second.said, '')
  t.is(await first.ask('qC'), 'QC1')
  first.end()
  using third = await Client.connect(path)
  t.is(await third.ask('qC'), 'QC1')
})

kvmTest('a packet with a wrong sum is asked for again, and one too long ends it', async (t) => {
  using vm = machine(guests.spin)
  const path = await served(t, vm)
  using client = await Client.connect(path)
  client.write('$?#00')
  client.write(packet('?'))
  t.regex(await client.answer(), /^T05/)
  t.true(client.said.startsWith('-+$T05'), client.said)
  client.write('-')
  t.regex(await client.answer(), /^T05/)
  t.is(await client.ask('QStartNoAckMode'), 'OK')
  const before = client.said.length
  t.is(await client.ask('qC'), 'QC1')
  t.false(client.said.slice(before).includes('+'))
  client.write(`$m${'0'.repeat(0x8000)}#00`)
  await client.closed()
})

kvmTest('packets that are cut anywhere are packets', async (t) => {
  using vm = machine(guests.spin)
  const path = await served(t, vm)
  using client = await Client.connect(path)
  for (const byte of packet('qSupported:swbreak+')) {
    client.write(Uint8Array.of(byte))
    await new Promise((resolve) => setImmediate(resolve))
  }
  t.regex(await client.answer(), /PacketSize=8000;.*vContSupported\+/)
})

kvmTest('registers are read and set, each alone and all at once', async (t) => {
  using vm = machine(guests.spin)
  const path = await served(t, vm)
  using client = await Client.connect(path)
  vm.setRegisters({ rax: 0x1122_3344_5566_7788n })
  const all = await client.ask('g')
  t.is(all.slice(0, 16), '8877665544332211')
  t.is(await client.ask('p0'), '8877665544332211')
  t.is(await client.ask('P3=0102030405060708'), 'OK')
  t.is(vm.registers().rdx, 0x0807_0605_0403_0201n)
  t.is(await client.ask(`G${little(5n, 8)}${(await client.ask('g')).slice(16)}`), 'OK')
  t.deepEqual([vm.registers().rax, vm.registers().rdx], [5n, 0x0807_0605_0403_0201n])
  // st0, xmm0 and fs_base, as the description counts them.
  const document = await client.ask('qXfer:features:read:target.xml:0,4000')
  const names = [...document.matchAll(/<reg name="(\w+)"/g)].map(([, name]) => name)
  const number = (name: string): string => names.indexOf(name).toString(16)
  const one = '0000000000000080ff3f'
  t.is(await client.ask(`P${number('st0')}=${one}`), 'OK')
  t.is(await client.ask(`P${number('xmm15')}=${'ab'.repeat(16)}`), 'OK')
  t.is(await client.ask(`P${number('fs_base')}=${little(0x5000n, 8)}`), 'OK')
  t.is(Buffer.from(vm.fpu().st[0]!).toString('hex'), one)
  t.is(vm.fpu().xmm[15], BigInt(`0x${'ab'.repeat(16)}`))
  t.is(vm.specialRegisters().fs.base, 0x5000n)
  for (const wrong of ['p99', 'p', 'P0=00', 'P99=00', 'G00', 'Pzz=00', 'P0=zz'])
    t.is(await client.ask(wrong), 'E01', wrong)
})

kvmTest('memory is read as far as there is any, and written in both ways', async (t) => {
  using vm = machine(counting, [], { memoryBytes: 2 ** 21 })
  const path = await served(t, vm)
  using client = await Client.connect(path)
  t.is(await client.ask('m0,4'), 'ffc0ebfc')
  t.is(await client.ask('m0,0'), '')
  t.is(await client.ask('M800,2:beef'), 'OK')
  t.is(await client.ask('X802,3:\x7d\x03\x7d\x5d\x00'), 'OK')
  t.is(await client.ask('m800,5'), 'beef237d00')
  // Up to the end of memory.
  t.is((await client.ask('m1fff00,200')).length, 0x200)
  for (const wrong of ['m200000,4', 'mffffffffffffffff,10', 'M1fffff,2:0000'])
    t.is(await client.ask(wrong), 'E0e', wrong)
  for (const wrong of ['m0', 'm0,', 'm,4', 'm0,ffff', 'M0,2:00', 'M0,1', 'X0,2:\x7d', 'm0,4,4'])
    t.is(await client.ask(wrong), 'E01', wrong)
})

for (const [mode, architecture, bytes] of [
  ['real', 'i8086', 4],
  ['protected', 'i386', 4],
  ['long', 'i386:x86-64', 8],
] as const) {
  kvmTest(`${mode} mode is ${architecture}, and its program counter is linear`, async (t) => {
    using vm = machine(counting, [], { mode })
    if (mode === 'real') {
      vm.setSpecialRegisters({ cs: { base: 0x1_0000n, selector: 0x1000 } })
      vm.setRegisters({ rip: 0x20n })
    }
    const path = await served(t, vm)
    using client = await Client.connect(path)
    const document = await client.ask('qXfer:features:read:target.xml:0,4000')
    t.true(document.includes(`<architecture>${architecture}</architecture>`))
    const names = [...document.matchAll(/<reg name="(\w+)"/g)].map(([, name]) => name)
    const counter = names.indexOf(bytes === 8 ? 'rip' : 'eip').toString(16)
    const at = mode === 'real' ? 0x1_0020n : 0n
    t.is(await client.ask(`p${counter}`), little(at, bytes))
    t.is(await client.ask(`P${counter}=${little(at + 5n, bytes)}`), 'OK')
    t.is(vm.registers().rip, mode === 'real' ? 0x25n : 5n)
  })
}

kvmTest('a guest that changes its mode is told of, and the layout stays', async (t) => {
  // To protected mode: lgdt, cr0.pe, far jump; then it says so, and jumps to itself.
  let isThere = false
  using vm = machine(
    `fa 0f 01 16 20 00 ; cli; lgdt [0x20]
     0f 20 c0 0c 01 0f 22 c0 ; mov eax, cr0; or al, 1; mov cr0, eax
     ea 13 00 08 00 ; jmp 8:0x13
     e6 10 ; out al, 0x10
     eb fe ; jmp 0x15
     90 90 90 90 90 90 90 90 90
     17 00 28 00 00 00 ; the table: 24 bytes at 0x28
     00 00
     00 00 00 00 00 00 00 00
     ff ff 00 00 00 9a cf 00
     ff ff 00 00 00 92 cf 00`,
    [{ port: 0x10, device: { write: () => void (isThere = true) } }],
    { mode: 'real' },
  )
  const path = await served(t, vm)
  using client = await Client.connect(path)
  t.true((await client.ask('qXfer:features:read:target.xml:0,4000')).includes('>i8086<'))
  const before = (await client.ask('g')).length
  client.write(packet('c'))
  t.true(await until(() => isThere))
  client.write('\x03')
  const text = Buffer.from((await client.answer(true)).slice(1), 'hex').toString()
  t.regex(text, /runs 32-bit code now, and this connection is i8086/)
  t.regex(await client.answer(), /^T02thread:1;/)
  t.is((await client.ask('g')).length, before)
})
