// Profiles of guests whose work is known: shares, chains of calls, vCPUs, waits.
import { setTimeout as sleep } from 'node:timers/promises'

import test, { type ExecutionContext } from 'ava'
import {
  type Profile,
  type ProfileOptions,
  VirtualMachine,
  type VirtualMachineOptions,
} from '../src/index.ts'
import { profiled } from './fixtures/profiled.ts'
import { until } from './fixtures/until.ts'
import { elfWithSymbols } from './helpers/elf-symbols.ts'
import { entry } from './helpers/elf.ts'
import { kvmTest, skipsMode } from './helpers/kvm.ts'
import { code, machine, vmError } from './helpers/machine.ts'

/** Enough that chance makes less than five points of a hundred. */
const enough = 1000
/** A busy host takes turns of its own that last for many samples, which tell of one moment. */
const most = 60_000
const hz = 200
/** Moments at which the host was at work: they say nothing about what the guest does. */
const waiting = '(waiting)'

/**
 * How often each name was found among samples of a guest at work, in profiles of a machine that
 * runs on, until there are enough.
 */
async function shares(
  vm: VirtualMachine,
  options: ProfileOptions = {},
  isEnough = (_self: (name: string) => number, samples: number): boolean => samples >= enough,
): Promise<{ self: (name: string) => number; samples: number; profiles: Profile[] }> {
  const run = vm.run()
  const profiles: Profile[] = []
  let samples = 0
  const self = (name: string): number =>
    profiles
      .flatMap(({ functions }) => functions.filter((one) => one.name === name))
      .reduce((sum, one) => sum + one.self, 0)
  while (!isEnough(self, samples)) {
    const profile = await vm.profile({ hz, durationMs: 500, ...options })
    profiles.push(profile)
    const busy = profile.functions.find(({ name }) => name === waiting)?.self ?? 0
    samples += profile.samples - busy
  }
  vm.stop()
  await run
  return { self, samples, profiles }
}

/**
 * A profile of so many milliseconds; of more, as long as it has not found what there is to find: on
 * a busy host a guest may not have begun by then.
 */
async function longEnough(
  beginMs: number,
  profile: (ms: number) => Promise<Profile>,
  isEnough: (found: Profile) => boolean = ({ stacks }) =>
    stacks.some(({ activity }) => activity === 'guest'),
): Promise<Profile> {
  for (let ms = beginMs; ; ms *= 4) {
    const found = await profile(ms)
    if (isEnough(found) || ms > 60_000) return found
  }
}

const isNear = (share: number, wanted: number): boolean => Math.abs(share - wanted) < 0.05

function near(t: ExecutionContext, share: number, wanted: number): void {
  t.true(isNear(share, wanted), `${share} instead of ${wanted}`)
}

const program = (bits: 16 | 32 | 64): VirtualMachineOptions => {
  const { code: image, symbols } = profiled(bits)
  if (bits === 16) return { mode: 'real', payload: { image } }
  return {
    mode: bits === 64 ? 'long' : 'protected',
    payload: { image: elfWithSymbols(bits, image, symbols) },
  }
}

const cases = [
  ['64-bit code', 64, {}],
  ['64-bit code in ring 3', 64, { privilege: 'user' }],
  ['32-bit code', 32, {}],
  ['16-bit code', 16, {}],
] as const

for (const [title, bits, more] of cases) {
  const body = async (t: ExecutionContext): Promise<void> => {
    const options = { ...program(bits), ...more }
    if (skipsMode(t, options.mode!, options.privilege)) return
    using vm = new VirtualMachine(options)
    const { nameAt } = profiled(bits)
    // Real mode has no ELF images.
    const symbols = bits === 16 ? { symbols: (at: bigint) => nameAt(Number(at)) } : {}
    const { self, samples, profiles } = await shares(vm, symbols, (found, count) => {
      const areNear = isNear(found('hot') / count, 0.7) && isNear(found('cold') / count, 0.3)
      return count >= (areNear ? enough : most)
    })
    near(t, self('hot') / samples, 0.7)
    near(t, self('cold') / samples, 0.3)
    const chains = profiles.flatMap((profile) => profile.encode('folded').trim().split('\n'))
    const known = chains.map((line) => line.replace(/ \d+$/, ''))
    const all = /^main(;outer(;hot|;cold)?)?(;\(waiting\))?$/
    t.deepEqual(
      known.filter((line) => line !== '' && !all.test(line)),
      [],
    )
    const stacks = profiles.flatMap((profile) => profile.stacks)
    t.true(stacks.every((stack) => stack.bits === bits && stack.vcpu === 0))
    t.true(stacks.every(({ cpl }) => cpl === ('privilege' in more ? 3 : 0)))
    t.true(stacks.every(({ cr3 }) => cr3 > 0n === (bits === 64)))
  }
  // One by one: each of these guests takes a processor for itself.
  kvmTest(`${title}: 70 of 100 are shown as such, with the calls that led there`, body, test.serial)
}

kvmTest('an idle machine runs as by run(), and the profile has its result', async (t) => {
  let answered: number[] = []
  // dec ecx; jnz; out 0x10, al; hlt
  using vm = machine('ff c9 75 fc e6 10 f4')
  const profile = await longEnough(10, (ms) => {
    answered = []
    vm.setRegisters({ rip: 0n, rcx: BigInt(ms) * 0x6_0000n })
    return vm.profile({
      hz: 1000,
      onExit: (exit) => void answered.push('port' in exit ? exit.port : -1),
    })
  })
  t.is(profile.result?.reason, 'hlt')
  t.deepEqual(answered, [0x10])
  t.is(profile.hz, 1000)
  t.true(profile.samples > 0)
  t.regex(String(profile), /samples at 1000 Hz/)
  t.is(vm.running, false)
})

kvmTest('each of two vCPUs is found where it is, and one that waits is told apart', async (t) => {
  let answer: (value: number) => void = () => undefined
  let asked = false
  const device = {
    read(): Promise<number> {
      asked = true
      return new Promise((resolve) => {
        answer = resolve
      })
    },
  }
  // test edi, edi; jnz +2; jmp $; in al, 0x10; jmp to it
  using vm = machine('85 ff 75 02 eb fe e4 10 eb fc', [{ port: 0x10, device }], { vcpus: 2 })
  const run = vm.run()
  t.true(await until(() => asked))
  // It ends without an answer: where the second one was is not known.
  const first = await longEnough(
    100,
    (durationMs) => vm.profile({ hz, durationMs }),
    ({ stacks }) =>
      stacks.some(({ vcpu, activity }) => vcpu === 0 && activity === 'guest') &&
      stacks.some(({ vcpu }) => vcpu === 1),
  )
  // The host may be found at work for the other, too.
  t.true(first.stacks.some(({ vcpu, activity }) => vcpu === 0 && activity === 'guest'))
  const none = first.stacks.filter(({ vcpu }) => vcpu === 1)
  t.deepEqual(
    none.map(({ activity, frames }) => [activity, frames]),
    [['waiting', []]],
  )
  // With the answer it is known, for the whole wait.
  const symbols = (at: bigint): string => (at < 6n ? 'spin' : 'ask')
  const answered = async (durationMs: number): Promise<Profile> => {
    const profile = vm.profile({ hz, durationMs, symbols })
    await sleep(durationMs / 2)
    asked = false
    answer(1)
    t.true(await until(() => asked))
    return profile
  }
  const { stacks, functions } = await longEnough(
    200,
    answered,
    ({ stacks: found }) =>
      found.some(({ vcpu, activity }) => vcpu === 0 && activity === 'guest') &&
      found.some(({ vcpu, frames, count }) => vcpu === 1 && frames.length > 0 && count > 1),
  )
  const second = stacks.filter(({ vcpu, frames }) => vcpu === 1 && frames.length > 0)
  const waits = second.filter(({ activity }) => activity === 'waiting')
  t.deepEqual(
    waits.map(({ frames }) => frames),
    [[8n]],
  )
  t.true(waits[0]!.count > 1)
  t.true(functions.find(({ name }) => name === 'spin')!.self > 0)
  // On a busy host it may be found between the answer and its next question.
  const works = second.filter(({ activity }) => activity === 'guest')
  const between = works.reduce((sum, { count }) => sum + count, 0)
  const asks = functions.find(({ name }) => name === 'ask')!
  t.is(asks.self, between)
  t.is(asks.total, waits[0]!.count + between)
  vm.stop()
  await run
})

kvmTest('a vCPU that sleeps until an interrupt is halted, at its hlt', async (t) => {
  // cli; hlt; jmp back
  using vm = machine('fa f4 eb fd', [], { irqchip: true })
  const profile = await longEnough(
    500,
    (timeoutMs) => vm.profile({ hz, timeoutMs }),
    ({ stacks }) => stacks.some(({ activity }) => activity === 'halted'),
  )
  t.true(profile.samples > 0)
  // On a busy host its thread may be found on its way in or out, too.
  const halted = profile.stacks.filter(({ activity }) => activity === 'halted')
  t.true(halted.length > 0)
  t.true(halted.every(({ frames }) => frames.length === 1 && frames[0] === 2n))
  t.true(profile.functions.some(({ name }) => name === '(halted)'))
})

kvmTest('a pause is not sampled', async (t) => {
  using vm = machine('eb fe')
  const profile = vm.profile({ hz })
  t.true(await until(() => vm.counters().kicks > 5))
  await vm.pause()
  const { kicks } = vm.counters()
  await sleep(500)
  t.is(vm.counters().kicks, kicks)
  vm.resume()
  t.true(await until(() => vm.counters().kicks > kicks + 5))
  vm.stop()
  const { samples, result } = await profile
  t.is(result?.reason, 'stopped')
  t.true(samples >= 10)
  t.true(samples <= (result!.durationMs / 1000) * hz + 5)
})

kvmTest('a run that is under way is sampled until it ends, in whatever way', async (t) => {
  for (const end of ['stop', 'reset', 'close'] as const) {
    const { samples, result } = await longEnough(10, async (kicks) => {
      using vm = machine('eb fe')
      const run = vm.run()
      run.catch(() => undefined)
      const profile = vm.profile({ hz })
      t.true(await until(() => vm.counters().kicks > kicks / 4))
      vm[end]()
      const found = await profile
      await run.catch((error: unknown) => t.is((error as { code: string }).code, 'ERR_VM_CLOSED'))
      return found
    })
    t.true(samples > 0, end)
    t.is(result, undefined)
  }
})

kvmTest('after a profile no vCPU is disturbed any more', async (t) => {
  using vm = machine('eb fe')
  const run = vm.run()
  await longEnough(50, (durationMs) => vm.profile({ hz: 1000, durationMs }))
  // The last one may be on its way.
  let kicks = 0
  const isQuiet = (): boolean => {
    const before = kicks
    kicks = vm.counters().kicks
    return kicks > 0 && kicks === before
  }
  t.true(await until(isQuiet, undefined, () => sleep(100)))
  vm.stop()
  await run
})

kvmTest('a run that fails leaves no profile, and another can be taken', async (t) => {
  using vm = machine('e6 10 eb fe')
  const failed = new Error('mine')
  const fails = (): never => {
    throw failed
  }
  await t.throwsAsync(vm.profile({ onExit: fails }), { ...vmError('ERR_HANDLER') })
  const controller = new AbortController()
  const aborted = vm.profile({ onExit: () => undefined, signal: controller.signal })
  controller.abort(failed)
  t.is(await aborted.catch((error: unknown) => error), failed)
  const closed = machine('eb fe')
  const cut = closed.profile()
  closed.close()
  await t.throwsAsync(cut, vmError('ERR_VM_CLOSED'))
  await t.throwsAsync(closed.profile(), vmError('ERR_VM_CLOSED'))
  const profile = await vm.profile({ hz, timeoutMs: 50, onExit: () => undefined })
  t.is(profile.result?.reason, 'timeout')
})

kvmTest('one profile at a time, and none under runSync()', async (t) => {
  let early: Promise<unknown> = Promise.resolve()
  using vm = machine('e6 10 eb fe')
  vm.runSync({
    timeoutMs: 20,
    onExit: () => void (early = vm.profile().catch((error: unknown) => error)),
  })
  t.is(((await early) as { code: string }).code, 'ERR_VM_BUSY')
  const run = vm.run()
  const first = vm.profile({ durationMs: 50 })
  await t.throwsAsync(vm.profile(), vmError('ERR_VM_BUSY', /being profiled/))
  const { signal } = new AbortController()
  t.true((await first).samples >= 0)
  // A DOMException is no error to AVA.
  const nameOf = async (ended: AbortSignal): Promise<unknown> =>
    await vm.profile({ signal: ended }).catch((error: unknown) => (error as Error).name)
  t.is(await nameOf(AbortSignal.abort()), 'AbortError')
  t.is(await nameOf(AbortSignal.timeout(20)), 'TimeoutError')
  t.true((await vm.profile({ durationMs: 20, signal })).samples >= 0)
  vm.stop()
  await run
})

kvmTest('options are checked, for an idle machine and for a run under way', async (t) => {
  using vm = machine('eb fe')
  const refuses = async (options: object, message: RegExp): Promise<unknown> =>
    await t.throwsAsync(vm.profile(options), vmError('ERR_INVALID_OPTION', message))
  for (const rate of [0, 0.5, 1001, -1, NaN, Infinity]) await refuses({ hz: rate }, /hz must be/)
  await refuses({ hz: '5' }, /hz must be a number/)
  await refuses(null as never, /options must be an object, got null/)
  await refuses({ symbols: 'vmlinux' }, /symbols must be a Uint8Array/)
  await refuses({ frequency: 5 }, /unknown 'frequency'/)
  await refuses({ durationMs: 5 }, /use timeoutMs/)
  await refuses({ timeoutMs: -1 }, /timeoutMs/)
  t.is(vm.running, false)
  const run = vm.run()
  await refuses({ timeoutMs: 5 }, /use durationMs/)
  await refuses({ durationMs: -5 }, /durationMs must be/)
  await refuses({ signal: 5 }, /signal must be/)
  t.true((await vm.profile({ durationMs: 0 })).samples >= 0)
  vm.stop()
  await run
})

kvmTest('what names addresses may fail, and what it says is text', async (t) => {
  using vm = machine('eb fe')
  const failed = new Error('mine')
  const symbols = (): never => {
    throw failed
  }
  const profile = (given: ProfileOptions): Promise<Profile> =>
    longEnough(100, (timeoutMs) => vm.profile({ hz, timeoutMs, ...given }))
  t.is(await profile({ symbols }).catch((error: unknown) => error), failed)
  const named = await profile({ symbols: () => 'a;b c\n' })
  // Beside it, moments at which the host was at work.
  t.regex(named.encode('folded'), /^a_b_c_ \d+$/m)
  t.notRegex(named.encode('folded'), /^(?!(a_b_c_)?;?(\(waiting\))? \d+$)./m)
  const calls: unknown[] = []
  const noted = (at: bigint, space: object): undefined => void calls.push([at, space])
  const { functions, stacks } = await profile({ symbols: noted })
  t.true(functions.some(({ name }) => name === '0x0'))
  const { cr3 } = stacks.find(({ frames }) => frames.length > 0)!
  t.deepEqual(calls, [[0n, { bits: 64, cpl: 0, cr3 }]])
})

kvmTest('symbols of another image take the place of those of the payload', async (t) => {
  const { code: image, symbols } = profiled(64)
  const renamed = symbols.map((one) => ({ ...one, name: `my_${one.name}` }))
  using vm = new VirtualMachine(program(64))
  const options = { hz, symbols: elfWithSymbols(64, image, renamed) }
  const { functions } = await longEnough(200, (timeoutMs) => vm.profile({ ...options, timeoutMs }))
  // A sample may find the host at work, which no image names.
  const named = functions.filter(({ name }) => !name.startsWith('('))
  t.true(named.length > 0)
  t.true(named.every(({ name }) => name.startsWith('my_')))
  t.is(vm.disassemble(BigInt(entry), 1)[0]?.symbol, 'main')
})

const hostile: Record<string, [base: bigint, chain: bigint[]]> = {
  'of itself': [0x7000n, [0x7000n]],
  'downwards and back': [0x7000n, [0x7100n, 0x7000n]],
  'beyond memory': [0x20_0000n, []],
  'at the end of memory': [0x1f_fff9n, []],
  'of no address': [0x8000_0000_0000_0000n, []],
  'at the last address': [0xffff_ffff_ffff_fffdn, []],
  'in the tables of the machine': [0xfe00_0000n, []],
}

for (const [title, [base, chain]] of Object.entries(hostile)) {
  kvmTest(`a chain of frames ${title} ends`, async (t) => {
    using vm = machine(`${'90 '.repeat(0x10)}eb fe`)
    let at = base
    for (const next of chain) {
      vm.memory.writeUint64(Number(at), next)
      vm.memory.writeUint64(Number(at) + 8, 0x8n)
      at = next
    }
    vm.setRegisters({ rsp: 0x6000n, rbp: base })
    const { stacks, samples } = await longEnough(200, (timeoutMs) => vm.profile({ hz, timeoutMs }))
    t.true(samples > 0)
    const longest = Math.max(...stacks.map(({ frames }) => frames.length))
    t.true(longest <= chain.length + 1, `${longest}`)
  })
}

kvmTest('a guest of many different stacks is profiled to its end', async (t) => {
  // A chain through all of memory, into which RBP leads at places that always differ:
  // lea rbp, [rbp + 16]; and ebp, 0xfffff; or ebp, 0x80000; jmp
  const image = code('48 8d 6d 10  81 e5 ff ff 0f 00  81 cd 00 00 08 00  eb ee')
  using vm = new VirtualMachine({ mode: 'long', memoryBytes: 2 << 20, payload: { image } })
  for (let at = 0x8_0000; at < 0x10_0000; at += 16) {
    vm.memory.writeUint64(at, BigInt(at + 16))
    vm.memory.writeUint64(at + 8, BigInt(1 + (at % 0x1_0000)))
  }
  vm.setRegisters({ rsp: 0n, rbp: 0x8_0000n })
  const { stacks, samples } = await longEnough(
    1000,
    (timeoutMs) => vm.profile({ hz, timeoutMs }),
    (found) => found.stacks.length > 1,
  )
  t.true(samples > 1)
  t.true(stacks.length > 1)
  t.is(Math.max(...stacks.map(({ frames }) => frames.length)), 128)
})
