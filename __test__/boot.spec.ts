// `vmexit boot` with small kernels of our own: ELF images that use the serial port and the power
// registers.
import { spawn } from 'node:child_process'
import { readFileSync, readdirSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

import test from 'ava'

import { native } from '../src/native/native.ts'
import { until } from './fixtures/until.ts'
import { echoOne, kernel, powerOff, printOk, resets } from './fixtures/kernels.ts'
import { kvmTest } from './helpers/kvm.ts'
import { code } from './helpers/machine.ts'
import { patient } from './helpers/speed.ts'

const main = new URL('../dist/cli/main.js', import.meta.url).pathname

interface Ran {
  code: number | null
  stdout: string
  stderr: string
}

/** Whether a process has a thread that has run a vCPU for longer than a guest takes to speak. */
function runsGuest(pid: number): boolean {
  const tasks = `/proc/${pid}/task`
  try {
    return readdirSync(tasks).some((task) => {
      const [, name, rest] = /\((.*)\) (.*)/s.exec(readFileSync(`${tasks}/${task}/stat`, 'utf8'))!
      // proc(5): fields 14 and 15, in hundredths of a second; the rest begins with the third.
      const [user, system] = rest!.split(' ').slice(11, 13).map(Number) as [number, number]
      return name === 'vmexit-vcpu0' && user + system >= patient(10)
    })
  } catch {
    return false
  }
}

/**
 * Sends a signal when the guest has said "ok"; with `--json`, where that is not heard, when the
 * guest runs.
 */
function boot(args: string[], input = '', signal?: NodeJS.Signals): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [main, 'boot', ...args])
    let [stdout, stderr] = ['', '']
    child.stdout.on('data', (chunk: Buffer) => {
      stdout += chunk.toString()
      if (signal && stdout === 'ok' && !args.includes('--json')) child.kill(signal)
    })
    child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
    child.on('error', reject)
    child.on('close', (exit) => resolve({ code: exit, stdout, stderr }))
    child.stdin.write(input)
    if (signal && args.includes('--json')) {
      void until(
        () => runsGuest(child.pid!),
        undefined,
        () => sleep(20),
      ).then(() => child.kill(signal))
    }
  })
}

kvmTest('the serial port is stdin and stdout, and power-off is code 0', async (t) => {
  const ran = await boot([kernel('echo', printOk + echoOne + powerOff)], 'x')
  t.deepEqual(ran, { code: 0, stdout: 'okx', stderr: '' })
})

kvmTest('--json is one document and nothing else', async (t) => {
  const ran = await boot([kernel('json', printOk + powerOff), '--json', '--cpus', '2'])
  t.is(ran.code, 0)
  const document = JSON.parse(ran.stdout)
  t.like(document, { reason: 'power-off', vcpu: 0, output: 'ok' })
  t.like(document.loaded, { format: 'elf', mode: 'long' })
  t.is(Buffer.from(document.outputBase64, 'base64').toString(), 'ok')
})

kvmTest('--json takes stdin and signals all the same', async (t) => {
  const echo = kernel('json-echo', printOk + echoOne + powerOff)
  const ran = await boot([echo, '--json', '--timeout', '300s'], 'x')
  t.like(JSON.parse(ran.stdout), { reason: 'power-off', output: 'okx', outputDroppedBytes: 0 })
  const spinning = kernel('json-spin', `${printOk} eb fe ; 1: jmp 1b`)
  const stopped = await boot([spinning, '--json'], '', 'SIGTERM')
  t.is(stopped.code, 130)
  t.like(JSON.parse(stopped.stdout), { reason: 'stopped', output: 'ok' })
})

kvmTest('a guest that crashes is code 3, with RIP and the bytes there', async (t) => {
  const ran = await boot([kernel('crash', `${printOk} 0f 0b ; ud2`)])
  t.is(ran.code, 3)
  // SVM has reset the vCPU by then.
  const where =
    native.hostBackend() === 'kvm_amd'
      ? 'KVM has reset the vCPU'
      : 'vCPU 0 is at RIP 0x10000a (long mode, CS 0x8), instruction bytes 0f0b'
  const what = `vmexit: the guest shut down (triple fault after #UD); ${where}`
  t.is(ran.stderr.slice(0, what.length), what)
})

kvmTest('a guest that crashes in the last bytes of its memory is code 3, too', async (t) => {
  // mov $0x101ffe,%rax; movw $0x0b0f,(%rax), which is ud2; jmp *%rax. The image's memory ends with
  // the machine's.
  const listing = '48 c7 c0 fe 1f 10 00 66 c7 00 0f 0b ff e0'
  const length = code(`${printOk} ${listing}`).length
  const path = kernel('end', `${printOk} ${listing} ${'90 '.repeat(0x1000 - length)}`)
  const memory = ['--memory', String(0x10_2000)]
  const ran = await boot([path, ...memory])
  t.is(ran.code, 3, ran.stderr)
  const at = /RIP 0x101ffe .*, instruction bytes 0f0b\n/
  t.regex(ran.stderr, native.hostBackend() === 'kvm_amd' ? /shut down/ : at)
  const document = JSON.parse((await boot([path, ...memory, '--json'])).stdout)
  t.is(document.reason, 'shutdown')
  if (native.hostBackend() !== 'kvm_amd') t.is(document.where.bytes, '0f0b')
})

for (const [name, listing] of Object.entries(resets)) {
  kvmTest(`a reset by ${name} is code 4 with a line on stderr, not a power-off`, async (t) => {
    const path = kernel('reset', printOk + listing)
    const ran = await boot([path])
    t.deepEqual(ran, { code: 4, stdout: 'ok', stderr: 'vmexit: the guest reset the machine\n' })
    const inJson = await boot([path, '--json'])
    t.is(inJson.code, 4)
    t.like(JSON.parse(inJson.stdout), { reason: 'reset', output: 'ok' })
  })
}

kvmTest('--port: consoles of a test kernel, and its exit code', async (t) => {
  // mov $0x402,%dx; mov $'!',%al; out; out $0xe9; mov $3,%al; out $0xf4
  const listing = `${printOk} 66 ba 02 04 b0 21 ee b0 3f e6 e9 b0 03 e6 f4 ; …`
  const path = kernel('conventions', listing)
  const ports = ['0x402=console', '0xe9=console', '0xf4=stop'].flatMap((port) => ['--port', port])
  const ran = await boot([path, ...ports])
  t.is(ran.code, 3, ran.stderr)
  t.is([...ran.stdout].toSorted().join(''), '!?ko')
  const document = JSON.parse((await boot([path, ...ports, '--json'])).stdout)
  t.like(document, { reason: 'exit-port', exitCode: 3 })
  t.is([...document.output].toSorted().join(''), '!?ko')
})

/**
 * Boots a guest that speaks at once and is silent then, with limits that it keeps: longer ones, if
 * the host gave it no processor before it was taken for silent.
 */
async function spoken(args: string[]): Promise<Ran> {
  for (let seconds = 1; ; seconds *= 4) {
    const ran = await boot([...args, '--silence', `${seconds}s`, '--timeout', `${2 * seconds}s`])
    if (ran.code !== 3 || seconds > 60) return ran
  }
}

kvmTest('a guest that only writes to --port consoles is not silent', async (t) => {
  const path = kernel('talks', 'b0 21 e6 e9 eb fe ; out $0xe9; 1: jmp 1b')
  const ran = await spoken([path, '--port', '0xe9=console'])
  t.deepEqual([ran.code, ran.stdout], [124, '!'])
})

kvmTest('a guest that stays silent is given up, and where it is is said', async (t) => {
  const silent = kernel('silent', 'eb fe ; 1: jmp 1b')
  const ran = await boot([silent, '--silence', '200ms'])
  t.deepEqual([ran.code, ran.stdout], [3, ''])
  t.regex(
    ran.stderr,
    /printed nothing for 0\.2 s.*vCPU 0 is at RIP 0x100000 \(long mode, CS 0x8\), instruction bytes ebfe/,
  )
  const { code: exit, stdout } = await boot([silent, '--silence', '200ms', '--json'])
  t.is(exit, 3)
  t.like(JSON.parse(stdout), { reason: 'silence', vcpu: null })
  t.like(JSON.parse(stdout).where, { rip: String(0x10_0000), mode: 'long' })
})

kvmTest('a time-out is code 124, and one that spoke is not silent', async (t) => {
  const talker = kernel('talker', `${printOk} eb fe ; 1: jmp 1b`)
  const ran = await spoken([talker])
  t.deepEqual([ran.code, ran.stdout], [124, 'ok'])
  t.regex(ran.stderr, /^vmexit: the time is up; vCPU 0 is at RIP 0x10000a .+ bytes ebfe/)
})

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  kvmTest(`${signal} ends it with code 130`, async (t) => {
    const ran = await boot([kernel(signal, `${printOk} eb fe ; 1: jmp 1b`)], '', signal)
    t.deepEqual(ran, { code: 130, stdout: 'ok', stderr: '' })
  })
}

test('a wrong command line is code 2', async (t) => {
  const ok = kernel('unused', 'f4 ; hlt')
  const flat = new URL('../package.json', import.meta.url).pathname
  for (const [args, message] of [
    [[], /boot needs the path of a kernel/],
    [[ok, ok], /boot takes one kernel/],
    [[ok, '--firmware-file', 'a=b'], /--firmware-file goes with --firmware/],
    [['--firmware', ok, 'disk', 'more'], /boot takes one disk, got 'more' too/],
    [['--firmware', ok, '-'], /boot needs a disk's path/],
    [['--firmware', ok, '--cmdline', 'quiet'], /--cmdline goes with a kernel/],
    [
      ['--firmware', ok, '--firmware-file', 'name'],
      /--firmware-file must be NAME=FILE, got 'name'/,
    ],
    [['--firmware', '/nowhere/bios.bin'], /cannot read the firmware/],
    [['/nonexistent/kernel'], /cannot read the kernel: ENOENT/],
    [[ok, '--initrd', '/nonexistent/initrd'], /cannot read the initrd: ENOENT/],
    [[flat], /no header of a bzImage, PVH, multiboot or ELF image/],
    [[ok, '--memory', '512K'], /pc needs --memory of at least 1048576/],
    [[ok, '--cpus', 'many'], /--cpus must be a number/],
    [[ok, '--silence', '5'], /--silence must be a duration/],
  ] as const) {
    const ran = await boot([...args])
    t.is(ran.code, 2, ran.stderr)
    t.regex(ran.stderr, message)
  }
})
