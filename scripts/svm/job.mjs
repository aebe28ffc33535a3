// A job, run by one machine or by several that share its steps.
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { root } from '../run.mjs'
import { baseline } from './build.mjs'
import { bundleAva } from './bundle.mjs'
import { fetchParts } from './fetch.mjs'
import { runMachine } from './machine.mjs'
import { Failure, temporaryDirectory } from './scope.mjs'
import { buildDisk } from './stage.mjs'

const ENVIRONMENT = {
  HOME: '/root',
  XDG_CACHE_HOME: '/root/.cache',
  LANG: 'C.UTF-8',
  PATH: `/usr/bin:${root}node_modules/.bin`,
  CI: '1',
  VMEXIT_REQUIRE_KVM: '1',
}

export const say = (line) => process.stderr.write(`svm: ${line}\n`)

const seconds = (ms) => `${(ms / 1000).toFixed(1)} s`

/** The disk of a job, and what runs it. */
async function prepare(directory, { programs = [], folders = {} }) {
  const parts = await fetchParts(say)
  const begin = Date.now()
  const ava = join(directory, 'ava')
  await bundleAva(ava)
  const caches = join(directory, 'caches')
  mkdirSync(caches)
  await baseline(caches)
  const all = { ...folders, [join(root, 'node_modules', 'ava')]: ava, '/root/.cache': caches }
  const disk = await buildDisk(directory, parts, programs, all)
  say(`disk built in ${seconds(Date.now() - begin)}`)
  return { parts, disk }
}

/**
 * Runs the job `{ steps, programs, folders, together, machines }`. Each machine takes the next step when it is done with one; `output`
 * makes its `{ onOut, onErr }`. Returns `{ ends, troubles, aborted }`: how each step ended, undefined if it did not, what ended machines
 * early, and whether QEMU did so itself.
 */
export async function runJob(job, output) {
  const { steps, together = false, machines = 1 } = job
  const directory = temporaryDirectory()
  const { parts, disk } = await prepare(directory, job)
  let taken = 0
  const next = () => (taken < steps.length ? taken++ : undefined)
  const results = await Promise.all(
    Array.from({ length: machines }, async (_, index) => {
      const onReady = (ms) => say(`/dev/kvm was there after ${seconds(ms)}`)
      const own = join(directory, `machine-${index}`)
      mkdirSync(own)
      const inside = { steps, environment: ENVIRONMENT, together }
      return runMachine(own, disk, parts, inside, { next, onReady, ...output(index) })
    }),
  )
  return {
    ends: steps.map((_, index) => results.map(({ ends }) => ends.get(index)).find(Boolean)),
    troubles: results.map(({ trouble }) => trouble).filter(Boolean),
    aborted: results.some(({ trouble, aborted }) => trouble && aborted),
  }
}

/** Runs a command in the project's directory inside, with what `parts` adds to the disk, and returns its exit code. */
export async function runCommand(command, limit, parts = {}) {
  const steps = [{ directory: root, command, seconds: limit }]
  const { ends, troubles } = await runJob({ ...parts, steps }, () => ({
    onOut: (chunk) => process.stdout.write(chunk),
    onErr: (chunk) => process.stderr.write(chunk),
  }))
  if (troubles.length > 0) throw new Failure(troubles.join('\n'))
  const [end] = ends
  if (end.late) say(`${command[0]} was not done after ${limit} s`)
  return end.status
}
