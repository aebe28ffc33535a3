// What of a vCPU is no register file: x87, SSE and AVX, MSRs, XCR0, debug registers, events.
import type { Fpu, VirtualMachine } from '../src/index.ts'
import { kvmTest } from './helpers/kvm.ts'
import { code, machine, vmError } from './helpers/machine.ts'

const LSTAR = 0xc000_0082
const NO_MSR = 0xdead_beef
const STOP = { port: 0xf4, to: 'stop' } as const

/** Four floats as a register has them. */
const floats = (...values: number[]): bigint => {
  const bits = new Uint32Array(Float32Array.from(values).buffer)
  return [...bits].reduceRight((all, word) => (all << 32n) | BigInt(word), 0n)
}
const hex = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString('hex')

// It runs in ring 3, which is native everywhere.
const SUMS = `
  0f 58 c1                ; addps %xmm1,%xmm0
  0f 11 04 25 00 05 00 00 ; movups %xmm0,0x500
  d9 e8                   ; fld1
  d9 eb                   ; fldpi
  b0 68                   ; mov $'h',%al
  e6 e9                   ; out %al,$0xe9
  b0 69                   ; mov $'i',%al
  e6 e9                   ; out %al,$0xe9
`
const END = 'e6 f4 ; out %al,$0xf4'

const console = { port: 0xe9, to: 'console' } as const

kvmTest('a guest finds the x87 and SSE registers that it is given, and leaves its own', (t) => {
  using vm = machine(`${SUMS}${END}`, [STOP, console], { privilege: 'user' })
  const { xmm } = vm.fpu()
  xmm[0] = floats(1, 2, 3, 4)
  xmm[1] = floats(10, 20, 30, 40)
  xmm[15] = (1n << 128n) - 1n
  vm.setFpu({ xmm, mxcsr: 0x1fa0 })
  const result = vm.runSync()
  t.is(result.outputText, 'hi')
  const sums = floats(11, 22, 33, 44)
  t.deepEqual(vm.memory.readUint64(0x500), BigInt.asUintN(64, sums))
  const fpu = vm.fpu()
  t.like(fpu, { mxcsr: 0x1fa0, fcw: 0x37f })
  t.deepEqual([fpu.xmm[0], fpu.xmm[1], fpu.xmm[15]], [sums, xmm[1], xmm[15]])
  // Two registers are in use, and the sixth is on top.
  t.deepEqual([fpu.ftw, (fpu.fsw >> 11) & 7], [0xc0, 6])
  t.is(hex(fpu.st[0]), '35c26821a2da0fc90040')
  t.is(hex(fpu.st[1]), '0000000000000080ff3f')
  t.deepEqual(vm.vcpus[0].fpu(), fpu)
})

kvmTest('with AVX a guest finds the YMM registers that it is given, and leaves its own', (t) => {
  const vaddps = 'c5 ec 58 d3 ; vaddps %ymm3,%ymm2,%ymm2'
  using vm = machine(`${vaddps}\n${END}`, [STOP], { privilege: 'user' })
  const { ymm } = vm.fpu()
  if (ymm === undefined) {
    t.is(vm.xcr0() & 4n, 0n)
    const all = Array.from({ length: 16 }, () => 0n)
    t.throws(() => vm.setFpu({ ymm: all }), vmError('ERR_INVALID_OPTION', /has no AVX/))
    return
  }
  t.is(vm.xcr0() & 7n, 7n)
  ymm[2] = (floats(5, 6, 7, 8) << 128n) | floats(1, 2, 3, 4)
  ymm[3] = (floats(50, 60, 70, 80) << 128n) | floats(10, 20, 30, 40)
  vm.setFpu({ ymm })
  t.is(vm.fpu().xmm[3], floats(10, 20, 30, 40))
  vm.runSync()
  t.is(vm.fpu().ymm?.[2], (floats(55, 66, 77, 88) << 128n) | floats(11, 22, 33, 44))
  t.is(vm.fpu().ymm?.[3], ymm[3])
  const { xmm } = vm.fpu()
  xmm[0] = 1n
  const differs = vmError('ERR_INVALID_OPTION', /^fpu\.ymm\[0\] must be fpu\.xmm\[0\]/)
  t.throws(() => vm.setFpu({ xmm, ymm }), differs)
})

kvmTest('what setFpu is not given keeps its value, and all of it can be given back', (t) => {
  using vm = machine('f4 ; hlt')
  const given: Partial<Fpu> = {
    fcw: 0x27f,
    fsw: 0x3800,
    ftw: 0x80,
    fop: 0x123,
    mxcsr: 0x1f80,
    st: Array.from({ length: 8 }, (_, at) => new Uint8Array(10).fill(at + 1)),
    xmm: Array.from({ length: 16 }, (_, at) => (BigInt(at) << 120n) | 7n),
  }
  const { ymm, ...before } = vm.fpu()
  let expected: Partial<Fpu> = before
  for (const name of Object.keys(given) as (keyof Fpu)[]) {
    vm.setFpu({ [name]: given[name] })
    expected = { ...expected, [name]: given[name] }
    const { ymm: _, ...now } = vm.fpu()
    t.deepEqual(now, expected as never, name)
  }
  const all = vm.fpu()
  t.is(all.ymm?.length, ymm?.length)
  using other = machine('f4 ; hlt')
  other.setFpu(all)
  t.deepEqual(other.fpu(), all)
  other.setFpu({})
  t.deepEqual(other.fpu(), all)
})

kvmTest('an MSR is written and read, and one that KVM refuses is an invalid option', (t) => {
  // rdmsr; out
  const guest = `
    b9 82 00 00 c0 ; mov $0xc0000082,%ecx
    0f 32          ; rdmsr
    e7 f4          ; out %eax,$0xf4
  `
  using vm = machine(guest, [STOP])
  vm.writeMsr(LSTAR, 0x1234n)
  t.is(vm.readMsr(LSTAR), 0x1234n)
  t.like(vm.runSync(), { reason: 'exit-port', exitCode: 0x1234 })
  t.throws(() => vm.readMsr(NO_MSR), vmError('ERR_INVALID_OPTION', /no MSR 0xdeadbeef/))
  t.throws(() => vm.writeMsr(NO_MSR, 1n), vmError('ERR_INVALID_OPTION', /MSR 0xdeadbeef/))
  // LSTAR is a canonical address.
  const refused = vmError(
    'ERR_INVALID_OPTION',
    /refuses the value 0x8000000000000 for MSR 0xc0000082/,
  )
  t.throws(() => vm.writeMsr(LSTAR, 1n << 51n), refused)
  t.is(vm.vcpus[0].readMsr(LSTAR), 0x1234n)
})

kvmTest('debug registers keep what they are given, and a guest finds it', (t) => {
  const guest = `
    0f 21 d8 ; mov %db3,%rax
    e7 f4    ; out %eax,$0xf4
  `
  using vm = machine(guest, [STOP])
  const set = { dr0: 1n, dr1: 2n, dr2: 1n << 63n, dr3: 0x4321n, dr6: 0xffff_0ff1n, dr7: 0x400n }
  vm.setDebugRegisters(set)
  t.deepEqual(vm.debugRegisters(), set)
  vm.setDebugRegisters({ dr1: 5n })
  t.deepEqual(vm.vcpus[0].debugRegisters(), { ...set, dr1: 5n })
  t.like(vm.runSync(), { exitCode: 0x4321 })
})

kvmTest('events tell what waits, and that the guest handles an NMI', (t) => {
  const options = { mode: 'real', payload: { image: code('fa f4'), loadGpa: 0x1000 } } as const
  using vm = machine('', [STOP], options)
  vm.memory.writeUint32(2 * 4, 0x2000)
  vm.memory.write(0x2000, code(END))
  const nothing = {
    exception: { injected: false, pending: false, vector: 0 },
    interrupt: { injected: false, vector: 0, soft: false, queued: [] },
    nmi: { injected: false, pending: false, masked: false, queued: false },
    shadow: { sti: false, movSs: false },
  }
  t.deepEqual(vm.events(), nothing)
  vm.interrupt(0x21)
  vm.interrupt(0x20)
  vm.nmi()
  t.deepEqual(vm.events().interrupt.queued, [0x21, 0x20])
  t.true(vm.events().nmi.queued)
  t.is(vm.runSync().reason, 'exit-port')
  t.like(vm.vcpus[0].events().nmi, { injected: false, masked: true, queued: false })
})

const wrong: [call: (vm: VirtualMachine) => unknown, message: RegExp][] = [
  [(vm) => vm.setFpu(undefined as never), /^fpu must be an object, got undefined$/],
  [(vm) => vm.setFpu({ zmm: [] } as never), /^fpu must be made of .*, got .*unknown 'zmm'/],
  [(vm) => vm.setFpu({ fcw: 0x1_0000 }), /^fpu\.fcw must be .* 0 to 65535, got 65536$/],
  [(vm) => vm.setFpu({ ftw: 256 }), /^fpu\.ftw must be .* 0 to 255, got 256$/],
  [(vm) => vm.setFpu({ fop: 0x800 }), /^fpu\.fop must be .* 0 to 2047, got 2048$/],
  [(vm) => vm.setFpu({ mxcsr: -1 }), /^fpu\.mxcsr must be/],
  [(vm) => vm.setFpu({ mxcsr: 1n as never }), /^fpu\.mxcsr must be/],
  [(vm) => vm.setFpu({ mxcsr: 0xffff_ffff }), /^fpu: KVM refuses these values/],
  [(vm) => vm.setFpu({ st: [] }), /^fpu\.st must be 8 registers, got an array of 0$/],
  [(vm) => vm.setFpu({ st: Array(8).fill(0) }), /^fpu\.st\[0\] must be a Uint8Array, got 0$/],
  [
    (vm) => vm.setFpu({ st: Array.from({ length: 8 }, () => new Uint8Array(9)) }),
    /^fpu\.st\[0\] must be 10 bytes/,
  ],
  [(vm) => vm.setFpu({ xmm: [1n] }), /^fpu\.xmm must be 16 registers, got an array of 1$/],
  [(vm) => vm.setFpu({ xmm: Array(16).fill(1) }), /^fpu\.xmm\[0\] must be a bigint .* 2\^128/],
  [(vm) => vm.setFpu({ xmm: Array(16).fill(1n << 128n) }), /^fpu\.xmm\[0\] must be a bigint/],
  [(vm) => vm.setFpu({ ymm: Array(16).fill(1n << 256n) }), /^fpu\.ymm\[0\] must be .* 2\^256/],
  [(vm) => vm.readMsr(-1), /^index must be a whole number from 0 to 4294967295, got -1$/],
  [(vm) => vm.readMsr(2 ** 32), /^index must be/],
  [(vm) => vm.readMsr(1n as never), /^index must be/],
  [(vm) => vm.writeMsr(LSTAR, 1 as never), /^value must be a bigint from 0 to 2\^64 - 1, got 1$/],
  [(vm) => vm.writeMsr(LSTAR, 1n << 64n), /^value must be/],
  [(vm) => vm.setDebugRegisters({ dr4: 1n } as never), /^debug registers must be .*unknown 'dr4'/],
  [(vm) => vm.setDebugRegisters({ dr0: -1n }), /^dr0 must be a bigint from 0 to 2\^64 - 1/],
  [(vm) => vm.setDebugRegisters({ dr6: 1n << 32n }), /^dr6 must be a bigint from 0 to 2\^32 - 1/],
  [(vm) => vm.setDebugRegisters({ dr7: 1 as never }), /^dr7 must be a bigint/],
]

kvmTest('a wrong value names itself, and changes nothing', (t) => {
  using vm = machine('f4 ; hlt')
  const state = () => [vm.fpu(), vm.readMsr(LSTAR), vm.debugRegisters()]
  const before = state()
  for (const [call, message] of wrong) {
    t.throws(() => call(vm), vmError('ERR_INVALID_OPTION', message), String(call))
  }
  t.deepEqual(state(), before)
})

const calls: ((vm: VirtualMachine) => unknown)[] = [
  (vm) => vm.fpu(),
  (vm) => vm.setFpu({ mxcsr: 0x1f80 }),
  (vm) => vm.readMsr(LSTAR),
  (vm) => vm.writeMsr(LSTAR, 0n),
  (vm) => vm.xcr0(),
  (vm) => vm.debugRegisters(),
  (vm) => vm.setDebugRegisters({ dr0: 0n }),
  (vm) => vm.events(),
]

kvmTest('the state of a vCPU needs an idle machine', (t) => {
  const vm = machine(END)
  let busy = 0
  const onExit = () => {
    for (const call of calls) {
      t.throws(() => call(vm), vmError('ERR_VM_BUSY'), String(call))
      busy += 1
    }
    return false as const
  }
  vm.runSync({ onExit })
  t.is(busy, calls.length)
  for (const call of calls) t.notThrows(() => call(vm), String(call))
  vm.close()
  for (const call of calls) t.throws(() => call(vm), vmError('ERR_VM_CLOSED'), String(call))
})
