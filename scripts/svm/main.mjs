// npm run test:svm, shell:svm, bench:boot and bench:disk: this project on a second KVM, that of an emulated AMD machine.
import { parseArgs } from 'node:util'
import { Failure } from '../run.mjs'
import { runCommand, say } from './job.mjs'
import { fetchParts } from './parts.mjs'
import { checkSelf } from './self.mjs'
import { setUp, test } from './test.mjs'

const RACE_SECONDS = 900
const USAGE = 2
// As with timeout(1): not a code of the command inside.
const MACHINE_FAILED = 125

const HELP = `usage: node scripts/svm/main.mjs test [--idle SECONDS] [--spec FILE | FILTER…]
       node scripts/svm/main.mjs test --self
       node scripts/svm/main.mjs shell [--timeout SECONDS] [--] COMMAND…
       node scripts/svm/main.mjs race boot|disk [OPTION…]

Starts an emulated AMD machine with a KVM of its own; it needs no /dev/kvm and no privilege.
test    builds the project, runs the Rust tests and the ava specs inside; a filter is a part of a
        Rust test program's or of a spec's name; --spec names one file, --idle says for how long
        ava waits for a test's end; --self checks this command itself, which takes some minutes
shell   runs one command there, in the project's directory, on what is built already
race    measures a kernel's boot or its disk there under vmexit and under QEMU's microvm in turns;
        options of bench/boot.mjs or bench/disk.mjs
Exit code: that of the tests or the command; 124 after a time-out; 125 if the machine itself failed.
`

class Misuse extends Error {}

function secondsOf(text) {
  if (!/^[1-9]\d*$/.test(text)) throw new Misuse()
  return Number(text)
}

const commands = {
  '--help': () => process.stdout.write(HELP) && 0,
  test(args) {
    const options = {
      self: { type: 'boolean' },
      idle: { type: 'string', default: '600' },
      spec: { type: 'string' },
    }
    const { values, positionals } = parseArgs({ args, options, allowPositionals: true })
    const idle = secondsOf(values.idle)
    return values.self ? checkSelf() : test(positionals, { ...values, idle })
  },
  shell(args) {
    // The options end where the command begins: it has its own.
    const [own, command] = args[0] === '--timeout' ? [args[1], args.slice(2)] : ['600', args]
    const words = command[0] === '--' ? command.slice(1) : command
    if (words.length === 0) throw new Misuse()
    return runCommand(words, secondsOf(own))
  },
  /** Runs a program of `bench/` with these words inside. */
  async race([what, ...words]) {
    if (!['boot', 'disk'].includes(what)) throw new Misuse()
    await setUp()
    const { command, firmware, libraries } = (await fetchParts(say)).qemu
    const own = ['env', `LD_LIBRARY_PATH=${libraries}`, 'node', `bench/${what}.mjs`]
    return runCommand([...own, '--qemu', command, '--firmware', firmware, ...words], RACE_SECONDS)
  },
}

const [name, ...args] = process.argv.slice(2)
try {
  if (!Object.hasOwn(commands, name ?? '')) throw new Misuse()
  process.exitCode = (await commands[name](args)) ?? process.exitCode
} catch (error) {
  const isMisuse = error instanceof Misuse || error.code?.startsWith('ERR_PARSE_ARGS')
  if (isMisuse) process.stderr.write(HELP)
  else say(error instanceof Failure ? error.message : error.stack)
  process.exitCode = isMisuse ? USAGE : MACHINE_FAILED
}
