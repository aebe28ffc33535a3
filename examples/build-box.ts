// A build step in a box: it sees its tools and its sources, writes to memory, and gets a clock that
// stands still. What it has looked at is known, and what it makes is the same each time.
//
//   node --import @oxc-node/core/register examples/build-box.ts
//
// prints: as: exit code 0, made hello.o; it looked at hello.s, message.txt
//         ld: exit code 0, made hello; it looked at hello.o
//         made twice, the same: true
//         what was built says: built in a box
//         a step that reaches out: exit code 1, Error: can't open /etc/passwd for reading…
import { realpathSync } from 'node:fs'
import { type Executed, Process, execute, hostDirectory, memoryDirectory } from 'vmexit/process'

const sources = {
  'hello.s': `
.globl _start
_start: mov $1, %eax
        mov $1, %edi
        lea message(%rip), %rsi
        mov $size, %edx
        syscall
        mov $60, %eax
        xor %edi, %edi
        syscall
message: .incbin "message.txt"
.set size, . - message
`,
  'message.txt': 'built in a box\n',
}

const tools = ['/usr/bin', '/usr/lib', '/lib', '/lib64']

interface Made {
  exitCode: number | null
  stderr: string
  /** The files of its folder that it has opened. */
  inputs: string[]
  output: Buffer | undefined
}

/** Runs a tool in `/work`, where these files are; of the host it can read the tools alone. */
async function step(
  tool: string,
  args: readonly string[],
  inputs: Readonly<Record<string, Uint8Array | string>>,
  output: string,
): Promise<Made> {
  const library = tools.map((path) => [path, hostDirectory(path, { readOnly: true })])
  const opened = new Set<string>()
  await using box = new Process(realpathSync(`/usr/bin/${tool}`), {
    args,
    files: { ...Object.fromEntries(library), '/work': memoryDirectory(inputs) },
    cwd: '/work',
    env: { SOURCE_DATE_EPOCH: '0' },
    stdin: '',
    timeoutMs: 20_000,
    clock: { fixed: new Date('2026-01-01') },
    random: 1,
  })
  box.syscalls.set('openat', async ({ args: [, path], memory }, next) => {
    const name = memory.readString(path!)
    const descriptor = await next()
    if (descriptor >= 0 && name in inputs) opened.add(name)
    return descriptor
  })
  const errors: Buffer[] = []
  box.stderr.on('data', (chunk: Buffer) => errors.push(chunk))
  box.stdout.resume()
  const { exitCode } = await box.exited
  const made = box.files.list('/work').some(({ name }) => name === output)
  return {
    exitCode,
    stderr: Buffer.concat(errors).toString(),
    inputs: [...opened].toSorted(),
    output: made ? box.files.read(`/work/${output}`) : undefined,
  }
}

async function build(tell: (text: string) => void): Promise<Buffer> {
  const assembled = await step('as', ['hello.s', '-o', 'hello.o'], sources, 'hello.o')
  tell(
    `as: exit code ${assembled.exitCode}, made hello.o; it looked at ${assembled.inputs.join(', ')}`,
  )
  const objects = { 'hello.o': assembled.output! }
  const linked = await step('ld', ['hello.o', '-o', 'hello'], objects, 'hello')
  tell(`ld: exit code ${linked.exitCode}, made hello; it looked at ${linked.inputs.join(', ')}`)
  return linked.output!
}

const first = await build(console.log)
const second = await build(() => undefined)
console.log(`made twice, the same: ${first.equals(second)}`)
const ran: Executed = await execute(first)
console.log(`what was built says: ${ran.stdout.trim()}`)

const spy = await step('as', ['/etc/passwd', '-o', 'passwd.o'], {}, 'passwd.o')
const [said = ''] = /Error:.*/.exec(spy.stderr) ?? []
console.log(`a step that reaches out: exit code ${spy.exitCode}, ${said}`)
