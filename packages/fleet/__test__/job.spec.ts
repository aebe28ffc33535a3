// What a job may be: what comes from a queue can be anything.
import test from 'ava'
import { VmError } from 'vmexit'

import { checkJob, jobLimits } from '../src/job/check.ts'
import { hashesOf } from '../src/job/images.ts'
import type { Job } from '../src/job/job.ts'
import { hello } from './helpers/jobs.ts'

const hash = `sha256-${'a'.repeat(64)}`
const other = `sha256-${'b'.repeat(64)}`

test('a job is a copy, and plain data', (t) => {
  const given = { id: 'a:b_c.d-1', definition: { ...hello }, limits: { timeoutMs: 5 } }
  const job = checkJob(given)
  t.deepEqual(job, JSON.parse(JSON.stringify(given)))
  given.definition.mode = 'real' as never
  t.is(job.definition?.mode, 'long')
})

const image = { file: { hash } }
const right: object[] = [
  { id: 'a', module: 'x-1' },
  { id: 'a', module: 'x', input: [null, { deep: 1 }] },
  { id: 'a', snapshot: { hash } },
  { id: 'a', snapshot: { hash }, module: 'x' },
  { id: 'a', native: { hash, args: ['-x'], env: { A: 'b' }, stdin: 'y' } },
  { id: 'a', native: { hash, files: { '/in': 'text', '/image': { hash } } } },
  { id: 'a', native: { hash, call: ['add', 'i32(i32, i32)', 1, 2] } },
  { id: 'a', definition: { payload: image }, needs: { backend: 'kvm_intel', modes: ['long'] } },
  { id: 'a'.repeat(200), definition: { payload: { guest: 'hello' } } },
]

test('what a job may be', (t) => {
  for (const job of right) t.notThrows(() => checkJob(job), JSON.stringify(job).slice(0, 200))
})

const wrong: [job: unknown, message: RegExp][] = [
  [undefined, /must be an object/],
  [null, /must be an object/],
  ['job', /must be an object/],
  [[{ id: 'a' }], /must be an object/],
  [{ module: 'x' }, /job\.id must be there/],
  [{ id: '', module: 'x' }, /id must be 1 to 200/],
  [{ id: 'a b', module: 'x' }, /id must be 1 to 200/],
  [{ id: '../a', module: 'x' }, /id must be 1 to 200/],
  [{ id: 'a'.repeat(201), module: 'x' }, /id must be 1 to 200/],
  [{ id: 7, module: 'x' }, /id must be 1 to 200/],
  [{ id: 'a' }, /one of definition, snapshot and native, or a module/],
  [{ id: 'a', definition: hello, snapshot: { hash } }, /one of definition, snapshot and native/],
  [{ id: 'a', module: '../evil' }, /module must be a name/],
  [{ id: 'a', module: '/etc/passwd' }, /module must be a name/],
  [{ id: 'a', module: 'A' }, /module must be a name/],
  [{ id: 'a', module: 'x', script: 'rm -rf /' }, /not of 'script'/],
  [{ id: 'a', snapshot: { hash: '../../etc/passwd' } }, /a job names no paths/],
  [{ id: 'a', snapshot: 'file' }, /a job names no paths/],
  [{ id: 'a', snapshot: { hash: hash.toUpperCase() } }, /a job names no paths/],
  [{ id: 'a', definition: 7 }, /definition must be an object/],
  [{ id: 'a', definition: { payload: { file: '/bin/sh' } } }, /payload\.file must be \{ hash/],
  [{ id: 'a', definition: { payload: { ...image, initrd: 'x' } } }, /payload\.initrd must be/],
  [
    { id: 'a', definition: { payload: { ...image, modules: [{ file: '/etc/shadow' }] } } },
    /payload\.modules\[0\]\.file must be/,
  ],
  [
    { id: 'a', definition: { payload: { ...image, files: [{ name: 'n', file: 'x' }] } } },
    /payload\.files\[0\]\.file must be/,
  ],
  [
    { id: 'a', definition: { ...hello, disks: [image, { file: '/dev/sda' }] } },
    /disks\[1\]\.file must be/,
  ],
  [
    { id: 'a', definition: { ...hello, module: './code.js' } },
    /definition\.module is not for a job/,
  ],
  [{ id: 'a', definition: { ...hello, network: [{ passt: true }] } }, /definition\.network is not/],
  [{ id: 'a', native: { hash: 'x' } }, /native must be \{ hash/],
  [{ id: 'a', native: { args: [] } }, /native\.hash must be there/],
  [{ id: 'a', native: { hash, args: [1] } }, /args\[0\] must be a string/],
  [{ id: 'a', native: { hash, args: ['a\0b'] } }, /args\[0\] must be a string without NUL/],
  [{ id: 'a', native: { hash, files: { '/x': { path: '/etc' } } } }, /a job names no paths/],
  [{ id: 'a', native: { hash, call: ['f'] } }, /call must be a name, a signature/],
  [{ id: 'a', native: { hash, call: ['f', 'i32()'], stdin: 'x' } }, /not of 'stdin'/],
  [{ id: 'a', module: 'x', limits: { timeoutMs: 0 } }, /limits\.timeoutMs must be a whole number/],
  [{ id: 'a', module: 'x', limits: { timeoutMs: 1e9 } }, /from 1 to 86400000/],
  [{ id: 'a', module: 'x', limits: { memoryBytes: 1.5 } }, /limits\.memoryBytes/],
  [{ id: 'a', module: 'x', limits: { maxOutputBytes: 2 ** 40 } }, /limits\.maxOutputBytes/],
  [{ id: 'a', module: 'x', limits: { rounds: 1 } }, /not of 'rounds'/],
  [{ id: 'a', module: 'x', needs: { backend: 'xen' } }, /needs\.backend must be one of kvm_intel/],
  [{ id: 'a', module: 'x', input: 1n }, /a job must be data/],
]

test('what a job must not be', (t) => {
  for (const [job, message] of wrong) {
    const error = t.throws(() => checkJob(job), { instanceOf: VmError })
    t.is(error.code, 'ERR_INVALID_OPTION')
    t.regex(error.message, message)
  }
})

test('a job is small', (t) => {
  const error = t.throws(
    () => checkJob({ id: 'a', module: 'x', input: 'x'.repeat(jobLimits.json) }),
    {
      instanceOf: VmError,
    },
  )
  t.is(error.code, 'ERR_LIMIT')
  t.regex(error.message, /put what is large into the store/)
})

test('what it names is found, each once', (t) => {
  const payload = { file: { hash }, modules: [{ file: { hash: other } }, { file: { hash } }] }
  const jobs = [
    { id: 'a', definition: { payload, disks: [{ file: { hash: other } }] } },
    { id: 'b', native: { hash, files: { '/a': 'text', '/b': { hash: other } } } },
  ]
  for (const job of jobs) t.deepEqual(hashesOf(checkJob(job)), [hash, other])
  t.deepEqual(hashesOf({ id: 'c', snapshot: { hash } } as Job), [hash])
})

test('random values end with an error of ours', (t) => {
  const parts = [null, 0, -1, 1e99, '', 'x', [], {}, { hash }, { file: { hash } }, [[]], true]
  const keys = ['id', 'definition', 'snapshot', 'native', 'module', 'limits', 'needs', '__proto__']
  let seed = 22
  const random = (most: number): number => (seed = (seed * 48_271) % 0x7fffffff) % most
  for (let turn = 0; turn < 5000; turn++) {
    const entries = keys
      .filter(() => random(2) === 0)
      .map((key) => [key, parts[random(parts.length)]])
    const job: unknown = Object.fromEntries([['id', 'a'], ...entries])
    try {
      checkJob(job)
    } catch (error) {
      if (!(error instanceof VmError)) t.fail(`${JSON.stringify(job)}: ${String(error)}`)
    }
  }
  t.pass()
})
