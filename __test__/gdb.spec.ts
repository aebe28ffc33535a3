// The real gdb against C guests of every width: as a person types, and through MI as editors do.
import { readFileSync } from 'node:fs'

import test, { type ExecutionContext } from 'ava'

import { listenGdb } from '../src/gdb/index.ts'
import type { VirtualMachine } from '../src/index.ts'
import { Gdb, findGdb } from './fixtures/gdb/gdb.ts'
import {
  type Kind,
  compiled,
  guestMachine,
  kindNames,
  kinds,
  missing,
  source,
} from './fixtures/gdb/guests.ts'
import { until } from './fixtures/until.ts'
import { kvmTest, skipsMode } from './helpers/kvm.ts'
import { patient } from './helpers/speed.ts'

const found = await findGdb()
const reason = missing ?? ('reason' in found ? found.reason : undefined)
const usr = 'usr' in found ? found.usr : ''

/** A test with gdb; without one it is skipped. */
function gdbTest(title: string, run: (t: ExecutionContext) => Promise<void>): void {
  if (reason !== undefined) return test.skip(`${title}: ${reason}`, (t) => t.pass())
  // Each compiles, and some wait for the guest: one after the other.
  kvmTest(
    title,
    async (t) => {
      t.timeout(patient(600_000))
      await run(t)
    },
    test.serial,
  )
}

/** The line of the guest's source that has this. */
function lineOf(text: string): number {
  const index = readFileSync(source, 'utf8')
    .split('\n')
    .findIndex((line) => line.includes(text))
  return index + 1
}

/** The beginning of a session. gdb knows no Linux in 16 bits. */
function begin(kind: Kind, where: string | undefined): string[] {
  const mode = kind === 16 ? ['set architecture i8086'] : []
  return [...mode, `target remote ${where}`]
}

/** Runs gdb's commands against a guest, and returns what it said. */
async function debugged(
  kind: Kind,
  commands: readonly string[],
  elf = compiled(kind),
): Promise<string> {
  using vm = guestMachine(kind, elf)
  await using gdb = await listenGdb(vm)
  const { code, said } = await Gdb.batch(usr, [elf], [...begin(kind, gdb.path), ...commands])
  if (code !== 0) throw new Error(`gdb ends with ${code}: ${said}`)
  return said
}

/** Where a guest that spins says so. */
const spinsAt = 0x7000

/** A machine whose guest runs, and has come to its loop. */
async function spinning(vm: VirtualMachine): Promise<boolean> {
  return await until(
    () => vm.running && !vm.paused && vm.memory.readUint32(spinsAt) === 1,
    patient(300_000),
  )
}

for (const kind of kindNames) {
  const skips = (t: ExecutionContext): boolean =>
    skipsMode(t, kinds[kind].mode, kinds[kind].privilege)

  // In 16 bits gdb looks into no prologue: a function begins with its first line.
  gdbTest(`break, backtrace, print and x/i show where a guest of ${kind} bits is`, async (t) => {
    if (skips(t)) return
    const said = await debugged(kind, [
      'break add',
      'continue',
      'backtrace',
      'print left + 10 * right',
      'print place',
      'x/2i $pc',
      'continue 3',
      'print left',
      'delete',
      'continue',
    ])
    const [inAdd, inTotal, inWork] = [
      lineOf(kind === 16 ? 'static int add(' : 'int sum ='),
      lineOf('all = add('),
      lineOf('= total(4)'),
    ]
    t.regex(
      said,
      new RegExp(String.raw`Breakpoint 1, add \(left=0, right=1\) at .*guest\.c:${inAdd}`),
    )
    t.regex(said, new RegExp(String.raw`^#1 .* total \(count=4\) at .*guest\.c:${inTotal}$`, 'm'))
    t.regex(said, new RegExp(String.raw`^#2 .* work \(\) at .*guest\.c:${inWork}$`, 'm'))
    t.regex(said, /^\$1 = 10$/m)
    t.regex(said, /^\$2 = \{x = 3, y = 4\}$/m)
    t.regex(said, kind === 16 ? /^=> 0x1\w+ <add>:\tpush +%ebp/m : /^=> 0x1\w+ <add\+\d+>:\tmov /m)
    // The fourth time: 1 + 2 + 3, and 4.
    t.regex(said, /add \(left=6, right=4\)/)
    t.regex(said, /exited with code 012\]/)
  })

  gdbTest(`step, next and finish follow the lines of a guest of ${kind} bits`, async (t) => {
    if (skips(t)) return
    const said = await debugged(kind, [
      `break ${lineOf('counter = 1')}`,
      'continue',
      'next',
      'step',
      'print count',
      ...(kind === 16 ? ['next'] : []),
      'next',
      'next',
      'step',
      'finish',
      'stepi',
      'print $pc',
      'delete',
      'continue',
    ])
    const lines = ['counter = 1', '= total(4)', 'int all = 0', 'each = 1; each', 'all = add(']
    for (const line of lines) t.regex(said, new RegExp(`^${lineOf(line)}\t`, 'm'), line)
    t.regex(said, /total \(count=4\) at/)
    t.regex(said, /add \(left=0, right=1\) at/)
    t.regex(said, /^Value returned is \$2 = 1$/m)
    t.regex(said, /^\$3 = .*<total\+\d+>/m)
    t.regex(said, /exited with code 012\]/)
  })

  gdbTest(`watch sees each change of a variable, in a guest of ${kind} bits`, async (t) => {
    if (skips(t)) return
    const said = await debugged(kind, [
      'watch counter',
      'continue',
      'continue',
      'delete',
      'rwatch counter',
      'continue',
      'delete',
      'continue',
    ])
    t.regex(said, /Hardware watchpoint 1: counter/)
    t.regex(said, /Old value = 0\nNew value = 1\n/)
    t.regex(said, /Old value = 1\nNew value = 10\n/)
    t.regex(said, /Hardware read watchpoint 2: counter\n\nValue = 10\n/)
    t.regex(said, /exited with code 012\]/)
  })

  gdbTest(
    `Ctrl-C halts a guest of ${kind} bits that spins, and gdb changes its mind`,
    async (t) => {
      if (skips(t)) return
      const elf = compiled(kind, ['SPINS'])
      using vm = guestMachine(kind, elf)
      await using gdb = await listenGdb(vm)
      await using client = new Gdb(usr, ['-q', elf])
      for (const command of ['set confirm off', ...begin(kind, gdb.path), 'continue'])
        client.type(command)
      t.true(await spinning(vm), client.said)
      client.interrupt()
      await client.says(/received signal SIGINT/)
      t.true(vm.paused)
      client.type('backtrace')
      await client.says(/#\d .* work \(\) at/)
      client.type('set var released = 1')
      client.type('continue')
      await client.says(/exited with code 012\]/)
      t.false(vm.running)
    },
  )
}

gdbTest('two vCPUs are two threads, which stop together', async (t) => {
  const elf = compiled(64, ['SPINS'])
  using vm = guestMachine(64, elf, { vcpus: 2 })
  await using gdb = await listenGdb(vm)
  const { said } = await Gdb.batch(
    usr,
    [elf],
    [
      ...begin(64, gdb.path),
      'info threads',
      'break wait',
      'continue',
      'thread apply all print counter',
      'thread 2',
      'print $pc',
      'delete',
      'set var released = 1',
      'continue',
    ],
  )
  t.regex(said, /^\* 1 .*"vCPU 0".*\(vCPU 0, 64 bits\)/m)
  t.regex(said, /^ {2}2 .*"vCPU 1".*\(vCPU 1, 64 bits\)/m)
  t.regex(said, /Thread \d .*hit Breakpoint 1, wait \(\)/)
  t.regex(said, /exited with code 012\]/)
})

gdbTest(
  'a run of the program is paused at attach, goes on at detach, and gdb comes back',
  async (t) => {
    const elf = compiled(64, ['SPINS'])
    using vm = guestMachine(64, elf)
    await using gdb = await listenGdb(vm, { port: 0 })
    const run = vm.run()
    const first = await Gdb.batch(
      usr,
      [elf],
      [...begin(64, `:${gdb.port}`), 'break add', 'print released', 'detach'],
    )
    t.regex(first.said, /^\$1 = 0$/m)
    t.regex(first.said, /\[Inferior 1 \(Remote target\) detached\]/)
    t.true(await spinning(vm))
    // Without `detach`: gdb detaches what it did not start.
    const second = await Gdb.batch(
      usr,
      [elf],
      [...begin(64, `:${gdb.port}`), 'set var released = 1'],
    )
    t.is(second.code, 0, second.said)
    const { reason: ended, exitCode } = await run
    t.deepEqual([ended, exitCode], ['exit-port', 10])
  },
)

gdbTest('gdb gets the symbols of the guest over the connection', async (t) => {
  const elf = compiled(64)
  using vm = guestMachine(64, elf)
  await using gdb = await listenGdb(vm, { symbols: readFileSync(elf) })
  const { said } = await Gdb.batch(usr, [], [...begin(64, gdb.path), 'info line work', 'detach'])
  t.regex(said, /Line \d+ of ".*guest\.c" starts at address 0x[0-9a-f]+ <work>/)
})

gdbTest('monitor keeps a state, goes back to it, counts exits and explains an end', async (t) => {
  const said = await debugged(64, [
    'monitor help',
    'monitor snapshot',
    'set $rax = 77',
    'monitor restore',
    'maintenance flush register-cache',
    'print $rax',
    'monitor exits',
    'set $pc = 0xffffffffffff0000',
    'continue',
    'monitor explain',
  ])
  t.regex(said, /^snapshot {2}keep the state/m)
  t.regex(said, /^kept$/m)
  t.regex(said, /^\$1 = 0$/m)
  t.regex(said, /^route 0: 0 reads, 0 writes$/m)
  t.regex(said, /Program (received signal|terminated with signal)/)
  t.regex(said, /page/)
})

gdbTest('an editor breaks, looks, steps and interrupts through MI', async (t) => {
  const elf = compiled(64, ['SPINS'])
  using vm = guestMachine(64, elf)
  await using gdb = await listenGdb(vm)
  await using client = new Gdb(usr, ['-q', '-i=mi3', elf])
  client.type(`1-target-select remote ${gdb.path}`)
  await client.says(/^1\^connected/m)
  client.type('2-break-insert add')
  await client.says(/^2\^done,bkpt=\{number="1",.*func="add"/m)
  client.type('3-exec-continue')
  await client.says(/^\*stopped,reason="breakpoint-hit".*func="add".*name="right",value="1"/m)
  client.type('4-stack-list-frames')
  await client.says(/^4\^done,stack=\[frame=\{level="0",.*func="add".*func="total".*func="work"/m)
  client.type('5-thread-info')
  await client.says(/^5\^done,threads=\[\{id="1",.*details="vCPU 0, 64 bits",name="vCPU 0"/m)
  client.type('6-exec-next')
  await client.says(
    new RegExp(`^\\*stopped,reason="end-stepping-range".*line="${lineOf('return sum')}"`, 'm'),
  )
  client.type('7-data-evaluate-expression sum')
  await client.says(/^7\^done,value="1"/m)
  client.type('8-break-delete 1')
  client.type('9-exec-continue')
  await client.says(/^9\^running/m)
  t.true(await spinning(vm))
  client.interrupt()
  await client.says(/^\*stopped,reason="signal-received",signal-name="SIGINT"/m)
  client.type('10-gdb-set var released = 1')
  await client.says(/^10\^done/m)
  client.type('11-exec-continue')
  await client.says(/^\*stopped,reason="exited",exit-code="012"/m)
  client.type('12-gdb-exit')
  t.is(await client.ended(), 0)
})
