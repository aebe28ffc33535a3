// The table of system calls in docs/native.md is what a process finds.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import test from 'ava'
import { execute } from 'vmexit/process'

import { native } from '../src/native/native.ts'
import { kvmTest } from './helpers/kvm.ts'
import { whereIs } from './helpers/native.ts'

const folder = mkdtempSync(join(tmpdir(), 'vmexit-calls-'))
test.after.always(() => rmSync(folder, { recursive: true }))

const page = readFileSync('docs/native.md', 'utf8')
const [, section = ''] = page.split('### System calls\n')
const [table = ''] = section.split(/\n\n(?=Each of them)/)
const documented = [...table.matchAll(/`(\w+)`/g)].map(([, name]) => name!)

/** Makes each call once, with arguments that none of them takes. */
const source = `
#include <stdlib.h>
#include <unistd.h>
int main(int argc, char **argv) {
  for (int i = 1; i < argc; i++) syscall(atoi(argv[i]), -1L, -1L, -1L, -1L, -1L, -1L);
  return 0;
}
`

/** They do not return, or wait; of timers there is the one of real time. */
const untried = ['exit', 'exit_group', 'pause', 'rt_sigreturn', 'getitimer', 'setitimer']

function build(): Uint8Array | undefined {
  const path = join(folder, 'calls')
  if (!whereIs('cc')) return undefined
  const args = ['-O1', '-w', '-static', '-x', 'c', '-', '-o', path]
  return spawnSync('cc', args, { input: source }).status === 0 ? readFileSync(path) : undefined
}

kvmTest('docs/native.md has the calls that are answered, and no other', async (t) => {
  const program = build()
  if (!program) {
    t.log('skipped: no C compiler for a static program')
    t.pass()
    return
  }
  const tried = native.systemCalls().filter(({ name }) => !untried.includes(name))
  const numbers = tried.map(({ number }) => String(number))
  const { exitCode, refused } = await execute(program, numbers, { timeoutMs: 300_000 })
  t.is(exitCode, 0)
  const answered = tried.map(({ name }) => name).filter((name) => !(name in refused))
  const found = [...answered, ...untried]
  t.deepEqual(
    found.filter((name) => !documented.includes(name)),
    [],
    'answered, and not in the table',
  )
  t.deepEqual(
    documented.filter((name) => !found.includes(name)),
    [],
    'in the table, and not answered',
  )
})
