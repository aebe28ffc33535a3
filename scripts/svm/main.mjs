// npm run test:svm and npm run shell:svm: this project on a second KVM, that of an emulated AMD machine.
import { buildDisk } from './stage.mjs'
import { fetchParts } from './fetch.mjs'
import { Failure, guard, temporaryDirectory } from './scope.mjs'
import { root } from '../run.mjs'
import { runMachine } from './machine.mjs'
import { test } from './test.mjs'

const SHELL_SECONDS = 600
const USAGE = 2
// As with timeout(1): not a code of the command inside.
const MACHINE_FAILED = 125

const HELP = `usage: node scripts/svm/main.mjs test [FILTER…]
       node scripts/svm/main.mjs shell [--timeout SECONDS] [--] COMMAND…

Starts an emulated AMD machine with a KVM of its own; it needs no /dev/kvm and no privilege.
test    builds the project, runs the Rust tests and the ava specs inside; a filter is a part of a
        Rust test program's or of a spec's name
shell   runs one command there, in the project's directory, on what is built already
Exit code: that of the tests or the command; 124 after a time-out; 125 if the machine itself failed.
`

const say = (line) => process.stderr.write(`svm: ${line}\n`)

const ENVIRONMENT = {
  HOME: '/root',
  LANG: 'C.UTF-8',
  PATH: `/usr/bin:${root}node_modules/.bin`,
  CI: '1',
  VMEXIT_REQUIRE_KVM: '1',
}

/** Runs a job in a machine of its own; `programs` are files of target/ that it needs. */
async function inMachine({ steps, programs, together = false }, handlers) {
  const parts = await fetchParts(say)
  const directory = temporaryDirectory()
  const stagedAt = Date.now()
  await buildDisk(directory, parts, programs)
  say(`disk built in ${seconds(Date.now() - stagedAt)}`)
  const job = { steps, environment: ENVIRONMENT, together }
  const onReady = (ms) => say(`/dev/kvm was there after ${seconds(ms)}`)
  return runMachine(directory, parts, job, { onReady, ...handlers })
}

const seconds = (ms) => `${(ms / 1000).toFixed(1)} s`

function shellArguments(args) {
  const words = [...args]
  let limit = SHELL_SECONDS
  if (words[0] === '--timeout') limit = Number(words.splice(0, 2)[1])
  if (words[0] === '--') words.shift()
  return Number.isInteger(limit) && limit > 0 && words.length > 0 ? { limit, words } : undefined
}

async function shell(args) {
  const asked = shellArguments(args)
  if (!asked) {
    process.stderr.write(HELP)
    return USAGE
  }
  const step = { directory: root, command: asked.words, seconds: asked.limit }
  const { steps, trouble } = await inMachine(
    { steps: [step], programs: [] },
    {
      onOut: (chunk) => process.stdout.write(chunk),
      onErr: (chunk) => process.stderr.write(chunk),
    },
  )
  if (trouble) throw new Failure(trouble)
  const [end] = steps
  if (end.late) say(`${asked.words[0]} was not done after ${asked.limit} s`)
  return end.status
}

async function main([command, ...args]) {
  if (command === 'shell') return shell(args)
  if (command === 'test') return test(args, { say, inMachine })
  process.stderr.write(HELP)
  return command === '--help' ? 0 : USAGE
}

guard()
try {
  process.exitCode = await main(process.argv.slice(2))
} catch (error) {
  say(error instanceof Failure ? error.message : error.stack)
  process.exitCode = MACHINE_FAILED
}
