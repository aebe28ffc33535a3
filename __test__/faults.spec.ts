// System calls that fail, one at a time: the error is a VmError, everything is given back, and the
// process goes on.
import { spawnSync } from 'node:child_process'

import type { ExecutionContext } from 'ava'

import { ended } from './fixtures/child.ts'
import { kvmTest } from './helpers/kvm.ts'

const sweep = ['scripts/faults/main.mjs']

/** The shim is compiled where it is used. */
function skipsWithoutCompiler(t: ExecutionContext): boolean {
  if (spawnSync('cc', ['--version']).status === 0) return false
  t.log('skipped: there is no C compiler, cc')
  t.pass()
  return true
}

kvmTest('each call that a machine of each kind makes fails once or for ever', async (t) => {
  if (skipsWithoutCompiler(t)) return
  t.timeout(600_000)
  const { code, output } = await ended([...sweep, '--few'])
  t.log(output.trimEnd())
  t.is(code, 0)
  // Every kind of machine was there, and their calls did fail.
  const [, points, reached] = /(\d+) points, (\d+) of them reached/.exec(output) ?? []
  t.true(Number(points) > 300 && Number(reached) > Number(points) * 0.9, output)
})

kvmTest('a failure that is expected of a call is the error that comes out', async (t) => {
  if (skipsWithoutCompiler(t)) return
  const points = [
    'long / KVM_CREATE_VCPU 0 EMFILE once',
    'several vcpus / pthread_create 0 EAGAIN ever',
  ]
  const { code, output } = await ended([...sweep, '--verbose', ...points])
  t.is(code, 0, output)
  t.regex(output, /KVM_CREATE_VCPU 0 EMFILE once \(1 times\): ERR_\w+: .*\(KVM_CREATE_VCPU 24\)/)
  t.regex(output, /pthread_create 0 EAGAIN ever \(\d+ times\): ERR_\w+: .*\(pthread_create 11\)/)
})
