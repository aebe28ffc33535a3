// Clients of the stub for gdb that say anything: packets of its protocol with random fields, changed anywhere, cut anywhere, with sums that are wrong. Whatever they say,
// a client after them is served, the machine obeys the program, and nothing of them stays. A step has about a hundred packets: 10^5 of them are
//
//   npm run fuzz -- gdb --steps 1000
import { once } from 'node:events'
import { connect } from 'node:net'

import { listenGdb } from '../../../dist/gdb/index.js'
import { VirtualMachine, guests } from '../../../dist/index.js'
import { sendInPieces } from '../wire/pieces.mjs'

const BOUND_MS = 60_000
const PACKETS = 100

const hex = (text) => Buffer.from(text, 'latin1').toString('hex')
const number = (random) =>
  random.pick([
    () => random.below(32).toString(16),
    () => random.integer().toString(16),
    () => random.wide().slice(2),
    () => random.pick(['', '-1', '-', 'g', '0', 'ffffffffffffffff', '10000000000000000']),
  ])()
const length = (random) => random.pick([0, 1, 4, 8, 64, 4096, 0x4000, 0x8000, random.integer()])
const bytes = (random, most) => random.hex(random.below(most + 1))

/** Where there is code, data, tables and nothing. */
const address = (random) =>
  random.pick(['0', '1', '2', '1000', '1ff', 'fe000000', 'fffffffffffff000', number(random)])
const thread = (random) => random.pick(['1', '2', '0', '-1', 'p1.1', number(random)])
const signal = (random) => random.pick(['05', '02', '0', number(random)])

const action = (random) => {
  const kind = random.pick([
    'c',
    's',
    'c',
    's',
    `C${signal(random)}`,
    `S${signal(random)}`,
    't',
    '',
  ])
  return random.oneIn(2) ? kind : `${kind}:${thread(random)}`
}

const monitored = ['help', 'snapshot', 'restore', 'exits', 'explain', '', ' ', 'x'.repeat(5000)]

/** What a client may say, and may not. */
const COMMANDS = [
  () => '?',
  () => 'g',
  (random) => `G${bytes(random, 700)}`,
  (random) => `p${number(random)}`,
  (random) => `P${number(random)}=${bytes(random, 20)}`,
  (random) => `m${address(random)},${length(random).toString(16)}`,
  (random) => `M${address(random)},${random.below(20).toString(16)}:${bytes(random, 20)}`,
  (random) => `X${address(random)},${random.below(9).toString(16)}:${random.hex(8)}`,
  (random) =>
    `Z${random.below(6)},${address(random)},${random.pick(['1', '4', '8', number(random)])}`,
  (random) =>
    `z${random.below(6)},${address(random)},${random.pick(['1', '4', '8', number(random)])}`,
  (random) => `H${random.pick(['g', 'c', 'x', ''])}${thread(random)}`,
  (random) => `T${thread(random)}`,
  (random) => `${random.pick(['c', 's'])}${random.oneIn(4) ? address(random) : ''}`,
  (random) =>
    `${random.pick(['C', 'S'])}${signal(random)}${random.oneIn(4) ? `;${address(random)}` : ''}`,
  (random) =>
    `vCont;${random.several(random.pick([1, 1, 2, 3, 100]), () => action(random)).join(';')}`,
  (random) => random.pick(['vCont?', 'vCtrlC', 'vMustReplyEmpty', 'vKill;1', '!', 'R', 'k', 'D']),
  (random) =>
    random.pick([
      'qC',
      'qAttached',
      'qfThreadInfo',
      'qsThreadInfo',
      'qSymbol::',
      'QStartNoAckMode',
    ]),
  (random) =>
    `qSupported${random.pick([':swbreak+;hwbreak+', '', ':', `:${'x+;'.repeat(random.below(200))}`])}`,
  (random) => `qThreadExtraInfo,${thread(random)}`,
  (random) =>
    `qXfer:${random.pick(['features', 'threads', 'exec-file', '__proto__'])}:read:${random.pick(['target.xml', '', '1', 'constructor'])}:${number(random)},${number(random)}`,
  (random) => `qRcmd,${random.oneIn(5) ? bytes(random, 20) : hex(random.pick(monitored))}`,
  (random) =>
    `vFile:open:${hex(random.pick(['/vmexit.elf', '/etc/passwd', '']))},${random.below(3)},1a4`,
  (random) =>
    `vFile:${random.pick(['pread', 'fstat', 'close', 'setfs', 'pwrite'])}:${random.pick(['3', number(random)])},${number(random)},${number(random)}`,
  (random) => `qSearch:memory:${address(random)};${number(random)};`,
  (random) => Buffer.from(random.hex(random.below(30)), 'hex').toString('latin1'),
  (random) => `m0,${'4'.repeat(random.pick([10, 0x7f00, 0x9000]))}`,
]

const packet = (text, sum) => {
  const all = Buffer.from(text, 'latin1').reduce((before, byte) => (before + byte) & 0xff, 0)
  return `${hex(`$${text}#`)}${hex(sum ?? all.toString(16).padStart(2, '0'))}`
}

/** What goes over the wire for one command. */
function spoken(random) {
  const text = random.pick(COMMANDS)(random)
  const whole = packet(text, random.oneIn(30) ? random.pick(['00', 'zz', '##']) : undefined)
  // A guest that runs is halted: what follows is then not refused.
  const after =
    /^[csCSv]/.test(text) && !random.oneIn(4) ? '03' : random.pick(['', '', '', '2b', '2d', '03'])
  if (!random.oneIn(60)) return whole + after
  const changed = Buffer.from(whole, 'hex')
  if (changed.length > 0) changed[random.below(changed.length)] = random.below(256)
  return changed.toString('hex')
}

/** What one client sends, as plain JSON. */
export function generate(random) {
  return {
    machine: random.pick([
      { mode: 'long', guest: 'spin' },
      { mode: 'long', guest: 'hello' },
      { mode: 'real', guest: 'hello' },
      { mode: 'protected', guest: 'spin' },
      { mode: 'long', guest: 'spin', vcpus: 2 },
      { mode: 'long', guest: 'hello', privilege: 'user' },
    ]),
    runs: random.oneIn(3),
    packets: random.several(PACKETS, () => spoken(random)),
    pieceBytes: random.pick([0, 0, 0, 1, 7, 1000]),
    reads: !random.oneIn(8),
    ends: random.pick(['destroy', 'end']),
  }
}

const open = async (path) => {
  const socket = connect(path).on('error', () => undefined)
  await Promise.race([once(socket, 'connect'), once(socket, 'close')])
  return socket
}

async function misbehave(path, { packets, pieceBytes, reads, ends }) {
  const socket = await open(path)
  if (reads) socket.resume()
  await sendInPieces(socket, Buffer.from(packets.join(''), 'hex'), {
    pieceBytes,
    ends,
    lingerMs: 1,
  })
}

/** A client as it should be gets answers to what it asks. */
async function look(path) {
  const socket = await open(path)
  const closed = once(socket, 'close')
  let said = ''
  const answered = new Promise((resolve) => {
    socket.setEncoding('latin1').on('data', (text) => {
      said += text
      if (/\$[TWX]\w\w[^#]*#.*\$[0-9a-f]{100,}#.*\$[0-9a-f]{32}#/s.test(said)) resolve(true)
    })
  })
  const late = setTimeout(() => socket.destroy(), BOUND_MS)
  for (const text of ['?', 'g', 'm0,10']) socket.write(Buffer.from(packet(text), 'hex'))
  const isServed = await Promise.race([answered, closed])
  if (isServed === true) socket.write(Buffer.from(packet('D'), 'hex'))
  await closed
  clearTimeout(late)
  if (isServed !== true) throw new Error(`a client after it got: ${said}`)
  if (!said.endsWith('$OK#9a')) throw new Error(`a client after it got no farewell: ${said}`)
}

/** One client that says anything. */
export async function execute(task) {
  const { guest, ...options } = task.machine
  const vm = new VirtualMachine({
    ...options,
    payload: guests[guest],
    routes: [{ port: 0xe9, to: 'discard' }],
  })
  const warnings = []
  const onWarning = (warning) => warnings.push(warning)
  process.on('warning', onWarning)
  try {
    const server = await listenGdb(vm, { symbols: Buffer.from('\x7fELF and more', 'latin1') })
    const run = task.runs ? vm.run().catch(() => undefined) : undefined
    await misbehave(server.path, task)
    await look(server.path)
    await server.close()
    vm.stop()
    await run
    const end = performance.now() + BOUND_MS
    while (vm.running && performance.now() < end) {
      vm.stop()
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
    if (vm.running) throw new Error('the machine still runs')
    if (vm.paused) throw new Error('the machine is still paused')
    vm.registers()
    if (warnings.length > 0) throw warnings[0]
  } finally {
    process.off('warning', onWarning)
    vm.close()
  }
}
