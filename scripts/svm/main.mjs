// npm run test:svm, shell:svm and bench:boot: this project on a second KVM, that of an emulated AMD machine.
import { parseArgs } from 'node:util'
import { setUp } from './build.mjs'
import { fetchParts } from './fetch.mjs'
import { runCommand, say } from './job.mjs'
import { Failure, guard } from './scope.mjs'
import { checkSelf } from './self.mjs'
import { test } from './test.mjs'

const SHELL_SECONDS = 600
const RACE_SECONDS = 900
const USAGE = 2
// As with timeout(1): not a code of the command inside.
const MACHINE_FAILED = 125

const HELP = `usage: node scripts/svm/main.mjs test [--idle SECONDS] [--spec FILE | FILTER…]
       node scripts/svm/main.mjs test --self
       node scripts/svm/main.mjs shell [--timeout SECONDS] [--] COMMAND…
       node scripts/svm/main.mjs race [OPTION…]

Starts an emulated AMD machine with a KVM of its own; it needs no /dev/kvm and no privilege.
test    builds the project, runs the Rust tests and the ava specs inside; a filter is a part of a
        Rust test program's or of a spec's name; --spec names one file, --idle says for how long
        ava waits for a test's end; --self checks this command itself, which takes some minutes
shell   runs one command there, in the project's directory, on what is built already
race    boots a kernel there under vmexit and under QEMU's microvm in turns; options of bench/boot.mjs
Exit code: that of the tests or the command; 124 after a time-out; 125 if the machine itself failed.
`

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
  return runCommand(asked.words, asked.limit)
}

function testArguments(args) {
  const options = { self: { type: 'boolean' }, idle: { type: 'string' }, spec: { type: 'string' } }
  try {
    const { values, positionals } = parseArgs({ args, options, allowPositionals: true })
    return /^[1-9]\d*$/.test(values.idle ?? '1') ? { values, positionals } : undefined
  } catch {
    return undefined
  }
}

async function runTests(args) {
  const asked = testArguments(args)
  if (asked) return asked.values.self ? checkSelf() : test(asked.positionals, asked.values)
  process.stderr.write(HELP)
  return USAGE
}

/** Runs `bench/boot.mjs` with these words inside, and returns its exit code. */
async function race(words) {
  await setUp()
  const { qemu } = await fetchParts(say)
  const command = [
    ...['env', `LD_LIBRARY_PATH=${qemu.env.LD_LIBRARY_PATH ?? ''}`, 'node', 'bench/boot.mjs'],
    ...['--qemu', qemu.command, '--firmware', qemu.firmware, ...words],
  ]
  const folders = { [qemu.firmware]: qemu.firmware }
  return runCommand(command, RACE_SECONDS, { programs: [qemu.command], folders })
}

async function main([command, ...args]) {
  if (command === 'shell') return shell(args)
  if (command === 'test') return runTests(args)
  if (command === 'race') return race(args)
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
