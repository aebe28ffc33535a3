// Traces in files: pictures, lines and records, and files that are none.
import {
  closeSync,
  constants,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { spawnSync } from 'node:child_process'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

import test from 'ava'

import { type Trace, type TracedExit, VmError, readTrace } from '../src/index.ts'
import { vmexit, vmexitJson } from './helpers/cli.ts'
import { kvmTest } from './helpers/kvm.ts'
import { code, machine, vmError } from './helpers/machine.ts'
import { randomBelow } from './helpers/random.ts'
import { affordable } from './helpers/speed.ts'

const folder = mkdtempSync(join(tmpdir(), 'vmexit-trace-'))
test.after.always(() => rmSync(folder, { recursive: true, force: true }))

let files = 0
/** A path in a folder of its own. */
function fresh(ending: string): string {
  const own = join(folder, String((files += 1)))
  mkdirSync(own)
  return join(own, `trace${ending}`)
}

/** Each vCPU writes its index and reads, as often as the word at 0x500 says, of two routes. */
const talk = `
  66 ba 00 02             ; mov $0x200,%dx
  31 c9                   ; xor %ecx,%ecx
  89 f8                   ; 1: mov %edi,%eax
  ef                      ; out %eax,(%dx)
  e4 60                   ; in $0x60,%al
  a3 00 00 00 10 00 00 00 00 ; mov %eax,0x10000000
  ff c1                   ; inc %ecx
  3b 0c 25 00 05 00 00    ; cmp 0x500,%ecx
  72 e7                   ; jb 1b
  f4                      ; hlt
`
const routes = [
  { port: 0x200, length: 4, to: 'constant', value: 0 },
  { port: 0x60, device: { read: () => 0x41 } },
  { gpa: 0x1000_0000, to: 'constant', value: 0 },
] as const

async function talking(
  use: (trace: Trace, exits: number) => Promise<void>,
  { vcpus = 2, rounds = 100, capacity = 65_536, registers = false } = {},
): Promise<void> {
  using vm = machine(talk, routes, { vcpus })
  vm.memory.writeUint32(0x500, rounds)
  using trace = vm.trace({ capacity, registers })
  await vm.run()
  const exits = Object.values(vm.counters().exits).reduce((sum, count) => sum + count)
  await use(trace, exits)
}

interface Event {
  ph: string
  name: string
  pid: number
  tid: number
  ts: number
  args?: { name?: string; value?: string; route?: number; answered?: boolean }
}

/** Begins and ends of a track, which must alternate; their names. */
function slicesOf(events: readonly Event[]): string[] {
  const open: string[] = []
  const names: string[] = []
  for (const { ph, name } of events) {
    if (ph === 'B') open.push(name)
    else if (ph === 'E' && open.pop() !== name) throw new Error(`${name} ends and has not begun`)
    if (ph === 'B') names.push(name)
    if (open.length > 1) throw new Error(`${open.join(' and ')} at once`)
  }
  if (open.length > 0) throw new Error(`${open[0]} does not end`)
  return names
}

kvmTest('a picture has a track for each vCPU, whose slices follow one another', async (t) => {
  await talking(async (trace, exits) => {
    const path = fresh('.json')
    await trace.save(path)
    const document = JSON.parse(readFileSync(path, 'utf8')) as { traceEvents: Event[] }
    const { traceEvents: events } = document
    const named = events.filter(({ name }) => name === 'thread_name')
    const tracks = new Map(named.map(({ tid, args }) => [tid, args!.name!]))
    t.deepEqual([...tracks.values()].toSorted(), [
      'route 0',
      'route 1',
      'route 2',
      'vCPU 0',
      'vCPU 1',
    ])
    t.true(events.every(({ ph, pid, ts }) => pid === 1 && (ph === 'M' || ts >= 0)))
    const timed = events.filter(({ ph }) => ph !== 'M')
    t.true(
      timed.every(({ ts }, index) => index === 0 || ts >= timed[index - 1]!.ts),
      'times of all ascend',
    )
    let [slices, marks] = [0, 0]
    for (const [track, name] of tracks) {
      const own = events.filter(({ tid, ph }) => tid === track && ph !== 'M')
      t.true(
        own.every(({ ts }, index) => index === 0 || ts >= own[index - 1]!.ts),
        `times of ${name} ascend`,
      )
      const names = slicesOf(own)
      if (name.startsWith('vCPU')) slices += names.filter((it) => it !== 'guest').length
      else marks += own.filter(({ ph }) => ph === 'i').length
      t.deepEqual(names.length === 0, name.startsWith('route'), name)
    }
    t.is(slices, exits)
    t.is(marks, events.filter(({ args }) => args?.route !== undefined).length)
    t.true(marks >= 300, String(marks))
  })
})

kvmTest('a picture of a trace that has dropped exits is whole, too', async (t) => {
  await talking(
    async (trace) => {
      const path = fresh('.json')
      await trace.save(path)
      const { traceEvents, otherData } = JSON.parse(readFileSync(path, 'utf8')) as {
        traceEvents: Event[]
        otherData: { dropped: number }
      }
      t.is(otherData.dropped, trace.dropped)
      const own = traceEvents.filter(({ tid, ph }) => tid === 0 && ph !== 'M')
      t.is(slicesOf(own).filter((name) => name !== 'guest').length, 7)
    },
    { vcpus: 1, capacity: 7 },
  )
})

/** A line as an exit. */
const parsed = (line: string): unknown =>
  JSON.parse(line, (_, value: unknown) =>
    typeof value === 'string' && value.startsWith('0x') ? BigInt(value) : value,
  )

for (const registers of [false, true]) {
  kvmTest(`a file, its lines and the trace say the same, registers: ${registers}`, async (t) => {
    await talking(
      async (trace) => {
        const [binary, lines, again] = ['.trace', '.jsonl', '.bin'].map(fresh) as [
          string,
          string,
          string,
        ]
        await trace.save(binary)
        await trace.save(lines)
        const read = await readTrace(binary)
        const { length, dropped, capacity } = trace
        t.like(read, { length, dropped, capacity, registers })
        const exits: TracedExit[] = [...trace]
        t.deepEqual([...read], exits)
        const text = readFileSync(lines, 'utf8').trimEnd().split('\n')
        t.deepEqual(text.map(parsed), exits)
        await read.save(again)
        t.deepEqual(readFileSync(again), readFileSync(binary))
        await read.save(lines, { format: 'jsonl' })
        t.is(readFileSync(lines, 'utf8').trimEnd(), text.join('\n'))
      },
      { registers, capacity: 60 },
    )
  })
}

kvmTest('the format is what is asked for, else what the path ends with', async (t) => {
  await talking(async (trace) => {
    const path = fresh('.json')
    await trace.save(path, { format: 'binary' })
    t.is(readFileSync(path).toString('latin1', 0, 8), 'vmxtrace')
    for (const name of ['trace.txt', 'trace', '.json']) {
      await t.throwsAsync(
        trace.save(join(dirname(path), name)),
        vmError('ERR_INVALID_OPTION', /path must be one that ends with \.json/),
      )
    }
    await t.throwsAsync(
      trace.save(path, { format: 'pcap' as never }),
      vmError('ERR_INVALID_OPTION', /save options\.format must be one of/),
    )
    await t.throwsAsync(trace.save(5 as never), vmError('ERR_INVALID_OPTION', /path must be/))
  })
})

kvmTest('a file is written whole or not at all', async (t) => {
  await talking(async (trace) => {
    const path = fresh('.bin')
    writeFileSync(path, 'before')
    const saving = trace.save(path)
    t.is(readFileSync(path, 'utf8'), 'before')
    await saving
    t.is((await readTrace(path)).length, trace.length)
    t.deepEqual(readdirSync(dirname(path)), ['trace.bin'])

    const taken = fresh('.bin')
    mkdirSync(taken)
    await t.throwsAsync(trace.save(taken), vmError('ERR_INVALID_OPTION', /cannot write the trace/))
    t.deepEqual(readdirSync(dirname(taken)), ['trace.bin'])
    const nowhere = join(folder, 'nowhere', 'trace.bin')
    const error = (await t.throwsAsync(trace.save(nowhere), { instanceOf: VmError }))!
    t.deepEqual([error.code, error.call, error.errno], ['ERR_INVALID_OPTION', 'open', 2])
  })
})

kvmTest('the event loop turns while a large trace is written', async (t) => {
  await talking(
    async (trace) => {
      let turns = 0
      const timer = setInterval(() => (turns += 1), 1)
      await trace.save(fresh('.json'))
      clearInterval(timer)
      t.true(turns >= 3, `${turns} turns for ${trace.length} exits`)
    },
    { vcpus: 1, rounds: affordable(10_000) },
  )
})

/** A file of a trace. */
async function written(): Promise<Buffer> {
  const path = fresh('.bin')
  await talking((trace) => trace.save(path), { rounds: 5 })
  return readFileSync(path)
}

async function refused(bytes: Uint8Array): Promise<string> {
  const path = fresh('.bin')
  writeFileSync(path, bytes)
  try {
    const trace = await readTrace(path)
    // What is read is drawn, too.
    await trace.save(fresh('.json'))
    return ''
  } catch (error) {
    if (!(error instanceof VmError)) throw error
    return error.message.replace(path, 'FILE')
  }
}

kvmTest('a file that is no trace is refused, and says why', async (t) => {
  const file = await written()
  const with32 = (offset: number, value: number): Uint8Array => {
    const copy = Buffer.from(file)
    copy.writeUInt32LE(value, offset)
    return copy
  }
  t.is(await refused(file), '')
  const cases: [Uint8Array, RegExp][] = [
    [new Uint8Array(0), /its first bytes are others/],
    [file.subarray(0, 63), /its first bytes are others/],
    [Buffer.concat([Buffer.from('x'), file]), /its first bytes are others/],
    [with32(8, 2), /version 2/],
    [with32(12, 128), /a header of 128 bytes/],
    [with32(16, 65), /records of 65 bytes/],
    [with32(20, 1), /records of 64 bytes/],
    [with32(20, 7), /flags 7/],
    [with32(28, 0xffff_ffff), /records, with room for/],
    [with32(36, 0xffff_ffff), /dropped records/],
    [with32(40, 1), /records, with room for 1 a vCPU/],
    [with32(44, 0), /0 vCPUs/],
    [with32(44, 65), /65 vCPUs/],
    [file.subarray(0, -1), /bytes for \d+ records/],
    [Buffer.concat([file, Buffer.alloc(64)]), /bytes for \d+ records/],
    [with32(64 + 48, 0xff), /record 0: reason 255/],
    [with32(64 + 48, 0x0900), /record 0: 9 bytes/],
    [with32(64 + 52, 2), /record 0: vCPU 2/],
    [with32(64 + 48, 0xffff_0000), /record 0: flags 65535/],
    [with32(64 + 4, 0x7fff_ffff), /record 0: time/],
    [with32(64 + 28, 0xffff_ffff), /record 0: address/],
    [with32(64 + 12, 1), /record 0: its time is before/],
    [with32(128, 0), /record 1: its time is before/],
  ]
  for (const [index, [bytes, message]] of cases.entries()) {
    const said = await refused(bytes)
    t.regex(said, message, `case ${index}: ${said}`)
  }
})

kvmTest('whatever bytes a file has, it is read or refused', async (t) => {
  const file = await written()
  const next = randomBelow(19)
  const outcomes = { read: 0, refused: 0 }
  for (let round = 0; round < affordable(500); round += 1) {
    const copy = Buffer.from(file)
    for (let change = 0; change <= next(3); change += 1) copy[next(copy.length)] = next(256)
    const cut = next(4) === 0 ? copy.subarray(0, next(copy.length)) : copy
    outcomes[(await refused(cut)) === '' ? 'read' : 'refused'] += 1
  }
  t.true(outcomes.read > 0 && outcomes.refused > 0, JSON.stringify(outcomes))
})

kvmTest('what is saved to a link lies where it leads, and a pipe stays one', async (t) => {
  await talking(
    async (trace) => {
      const [file, link, pipe] = [fresh('.bin'), fresh('.bin'), fresh('.bin')]
      writeFileSync(file, 'what was there')
      symlinkSync(file, link)
      await trace.save(link)
      t.true(lstatSync(link).isSymbolicLink())
      t.is((await readTrace(file)).length, trace.length)
      t.deepEqual(readdirSync(dirname(file)), ['trace.bin'])
      t.is(spawnSync('mkfifo', [pipe]).status, 0)
      // Open for both, so that nothing is waited for; a pipe holds so few records.
      const reader = openSync(pipe, constants.O_RDWR | constants.O_NONBLOCK)
      await trace.save(pipe)
      t.true(lstatSync(pipe).isFIFO())
      const whole = readFileSync(file)
      const bytes = Buffer.alloc(whole.length)
      t.is(readSync(reader, bytes), whole.length)
      t.deepEqual(bytes, whole)
      closeSync(reader)
      const long = join(folder, `${'x'.repeat(251)}.bin`)
      await trace.save(long)
      t.is((await readTrace(long)).length, trace.length)
      await t.throwsAsync(trace.save(folder, { format: 'binary' }), vmError('ERR_INVALID_OPTION'))
    },
    { rounds: 3 },
  )
})

test('a path that is no file is refused, and not waited for', async (t) => {
  const refusal = vmError('ERR_INVALID_OPTION')
  await t.throwsAsync(readTrace(folder), refusal)
  await t.throwsAsync(readTrace(join(folder, 'none.bin')), refusal)
  const pipe = fresh('.bin')
  t.is(spawnSync('mkfifo', [pipe]).status, 0)
  await t.throwsAsync(readTrace(pipe), vmError('ERR_INVALID_OPTION', /is no file/))
  await t.throwsAsync(readTrace(5 as never), vmError('ERR_INVALID_OPTION', /path must be/))
})

kvmTest('run and boot write the trace that --trace names', async (t) => {
  const image = fresh('.img')
  writeFileSync(image, code('b0 05 e6 e9 e6 f4 ; mov $5,%al; out %al,$0xe9; out %al,$0xf4'))
  const ports = ['--port', '0xe9=console', '--port', '0xf4=stop']
  const run = ['run', image, '--mode', 'real', ...ports]
  const path = fresh('.trace')
  const [exit, document] = await vmexitJson([...run, '--trace', path])
  t.is(exit, 5)
  const trace = await readTrace(path)
  t.is(trace.length, document['exits'])
  t.deepEqual(
    Array.from(trace, ({ port, value, route }) => [port, value, route]),
    [
      [0xe9, 5, 0],
      [0xf4, 5, 1],
    ],
  )
  const picture = fresh('.json')
  t.deepEqual((await vmexit([...run, '--trace', picture])).stderr, '')
  t.true(readFileSync(picture, 'utf8').includes('"pio-out 0xf4"'))

  for (const command of [run, ['boot', image]]) {
    const wrong = await vmexit([...command, '--trace', 'trace.txt'])
    t.is(wrong.code, 2)
    t.regex(
      wrong.stderr,
      /--trace must end with \.json, \.jsonl, \.bin or \.trace, got 'trace.txt'/,
    )
  }
  const nowhere = await vmexit([...run, '--trace', join(folder, 'nowhere', 'a.json')])
  t.is(nowhere.code, 2)
  t.regex(nowhere.stderr, /cannot write the trace .*ENOENT/)
})

kvmTest('a guest that is stopped by its time leaves its trace', async (t) => {
  const image = fresh('.img')
  // out %al,$0xe9; jmp to it
  writeFileSync(image, code('e6 e9 eb fc ;'))
  const path = fresh('.jsonl')
  const options = ['--mode', 'real', '--port', '0xe9=discard']
  let lines = 0
  // On a busy host the guest may not begin within its time.
  for (let seconds = 2; lines <= 2 && seconds < 100; seconds *= 4) {
    const ran = await vmexit([
      'run',
      image,
      ...options,
      '--timeout',
      `${seconds}s`,
      '--trace',
      path,
    ])
    t.is(ran.code, 124)
    lines = readFileSync(path, 'utf8').split('\n').length
  }
  t.true(lines > 2)
})
