// What ends a call that the library does not end itself, and that a reset makes it whole again.
import type { ExecutionContext } from 'ava'

import { VmError } from '../src/index.ts'
import { GuestFault, GuestTimeout, instantiate } from '../src/process/index.ts'
import { type AnyLibrary, imageTest, libraryTest, unasked } from './helpers/library.ts'
import { nativeLibrary } from './helpers/native.ts'

/** It takes no call until it is reset, and then it does. */
async function assertWholeAfterReset(t: ExecutionContext, lib: AnyLibrary): Promise<void> {
  const busy = { instanceOf: VmError, code: 'ERR_VM_BUSY', message: /reset\(\) it first$/ }
  t.throws(() => lib.exports.add(1, 2), busy)
  await t.throwsAsync(lib.async.add(1, 2), busy)
  lib.reset()
  t.is(await inTime(lib, () => lib.exports.add(40, 2)), 42)
  t.is(await inTime(lib, () => lib.async.add(40, 2)), 42)
}

/** What a call returns: a busy host may use up the time that it has, and then it begins again. */
async function inTime(lib: AnyLibrary, call: () => unknown): Promise<unknown> {
  for (let tries = 1; ; tries++)
    try {
      return await call()
    } catch (error) {
      if (!(error instanceof GuestTimeout) || tries === 100) throw error
      lib.reset()
    }
}

interface Case {
  title: string
  call: (lib: AnyLibrary, table: 'exports' | 'async') => unknown
  expect: Partial<GuestFault>
}

const wild = 0x1234_5678_9000

const cases: Case[] = [
  {
    title: 'a wild write',
    call: (lib, table) => lib[table].poke(wild, 1),
    expect: { vector: 14, name: '#PF', address: BigInt(wild), errorCode: 6 },
  },
  {
    title: 'a null pointer that is read',
    call: (lib, table) => lib[table].peek(0),
    expect: { vector: 14, name: '#PF', address: 0n, errorCode: 4 },
  },
  {
    title: 'a jump to nowhere',
    call: (lib, table) => lib[table].jump(wild),
    expect: { vector: 14, name: '#PF', address: BigInt(wild), rip: BigInt(wild) },
  },
  {
    title: 'a division by zero',
    call: (lib, table) => lib[table].divide(1, 0),
    expect: { vector: 0, name: '#DE', address: undefined, errorCode: undefined },
  },
  {
    title: 'an undefined instruction',
    call: (lib, table) => lib[table].undefined(),
    expect: { vector: 6, name: '#UD' },
  },
  {
    title: 'an endless recursion',
    call: (lib, table) => lib[table].deep(2 ** 31 - 1),
    expect: { vector: 14, name: '#PF' },
  },
]

for (const table of ['exports', 'async'] as const) {
  for (const { title, call, expect } of cases) {
    libraryTest(`${title} is a GuestFault (${table})`, 'plain', async (t, lib) => {
      const error = await t.throwsAsync(async () => call(lib, table), { instanceOf: GuestFault })
      t.like(error, expect)
      const fault = error as GuestFault
      t.is(fault.registers.rip, fault.rip)
      t.is(fault.explain().vector, expect.vector!)
      t.false(fault instanceof VmError)
      t.regex(fault.message, /^\w+: the guest had a fault that it does not handle/)
      await assertWholeAfterReset(t, lib)
    })
  }

  libraryTest(
    `a call that takes too long is a GuestTimeout (${table})`,
    'plain',
    async (t, lib) => {
      const error = await t.throwsAsync(async () => lib[table].spin(), { instanceOf: GuestTimeout })
      t.is((error as GuestTimeout).timeoutMs, 200)
      t.true((error as GuestTimeout).registers.rip > 0n)
      await assertWholeAfterReset(t, lib)
    },
    { timeoutMs: 200 },
  )

  libraryTest(
    `imports are part of the time (${table})`,
    'plain',
    async (t, lib) => {
      const call = async () => lib[table].each(2 ** 31 - 1)
      await t.throwsAsync(call, { instanceOf: GuestTimeout })
      await assertWholeAfterReset(t, lib)
    },
    { timeoutMs: 200 },
  )
}

libraryTest('faults without end, each followed by a right answer', 'plain', (t, lib) => {
  for (let round = 0; round < 200; round += 1) {
    const { call } = cases[round % cases.length]!
    t.throws(() => call(lib, 'exports'), { instanceOf: GuestFault })
    lib.reset()
    if (lib.exports.add(round, 1) !== round + 1) t.fail(`round ${round}`)
  }
})

for (const name of ['musl', 'glibc', 'c++'] as const) {
  libraryTest(`exit() within a call of ${name} is a GuestFault`, name, async (t, lib) => {
    if (!('leave' in lib.exports)) return void t.pass()
    const error = t.throws(() => lib.exports.leave(7), { instanceOf: GuestFault })
    t.like(error, { name: 'exit', exitCode: 7, vector: undefined })
    t.is((error as GuestFault).explain().vector, null)
    await assertWholeAfterReset(t, lib)
  })
}

for (const name of ['musl', 'glibc'] as const) {
  libraryTest(`abort() within a call of ${name} is a GuestFault`, name, async (t, lib) => {
    const error = t.throws(() => lib.exports.give_up(), { instanceOf: GuestFault })
    t.like(error, { name: 'SIGABRT', vector: undefined, exitCode: undefined })
    await assertWholeAfterReset(t, lib)
  })
}

imageTest(
  'a library that is closed during a call rejects it',
  () => nativeLibrary('plain'),
  async (t, image) => {
    const lib = await instantiate(image, { imports: unasked })
    const call = lib.async.spin()
    lib.close()
    await t.throwsAsync(call, { instanceOf: VmError, code: 'ERR_VM_CLOSED' })
    t.true(lib.closed)
  },
)
