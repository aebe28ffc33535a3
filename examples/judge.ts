// A judge: programs that strangers have sent in are run against tests, with limits of time, memory
// and output, and nothing of this host within their reach.
//
//   node --import @oxc-node/core/register examples/judge.ts
//
// prints: right: accepted
//         wrong: test 2: wrong answer
//         endless: test 1: no answer within 5000 ms
//         greedy: test 1: not enough memory (exit code 9)
//         crash: test 2: SIGSEGV
//         chatty: test 1: it wrote over 65536 bytes
//         spy: test 1: wrong answer
//         caller: test 1: wrong answer; it asked for socket
//         forker: test 1: wrong answer; it asked for vfork
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execute } from 'vmexit/process'

/** The task: the sum of the numbers of stdin. */
const tests = [
  { input: '1 2 3\n', output: '6\n' },
  { input: '100 -1\n', output: '99\n' },
]

const sum = 'long n, sum = 0; while (scanf("%ld", &n) == 1) sum += n; printf("%ld\\n", sum);'
const submissions: Record<string, string> = {
  right: sum,
  wrong: 'puts("6");',
  endless: 'for (volatile int i = 0;; i++) {}',
  greedy: 'if (!malloc(1 << 30)) exit(9); puts("6");',
  crash: `if (getchar() == '1' && getchar() == '0') *(volatile int *)16 = 1; puts("6");`,
  chatty: 'for (;;) puts("6");',
  spy: 'char line[99]; puts(fgets(line, 99, fopen("/etc/passwd", "r") ?: stdin));',
  caller: 'printf("%d\\n", socket(AF_INET, SOCK_STREAM, 0));',
  forker: 'printf("%d\\n", vfork());',
}

const headers = ['stdio.h', 'stdlib.h', 'string.h', 'sys/socket.h', 'unistd.h']
const folder = mkdtempSync(join(tmpdir(), 'vmexit-judge-'))

/** The compiler runs on this host, and sees the source only. */
function compile(code: string): Buffer {
  const source = headers.map((name) => `#include <${name}>\n`).join('')
  const path = join(folder, 'submission')
  execFileSync('cc', ['-O1', '-w', '-static', '-x', 'c', '-', '-o', path], {
    input: `${source}int main(void) { ${code}\nreturn 0; }`,
  })
  return readFileSync(path)
}

const limits = { timeoutMs: 5000, memoryBytes: 32 << 20, maxOutputBytes: 65_536 }

async function verdict(program: Uint8Array, input: string, output: string): Promise<string> {
  try {
    const run = await execute(program, [], { stdin: input, ...limits })
    if (run.reason === 'timeout') return `no answer within ${limits.timeoutMs} ms`
    if (run.exitCode === 9) return 'not enough memory (exit code 9)'
    if (run.signal !== null) return run.signal
    if (run.exitCode === 0 && run.stdout === output) return ''
    const asked = Object.keys(run.refused)
    return asked.length > 0 ? `wrong answer; it asked for ${asked.join(', ')}` : 'wrong answer'
  } catch (error) {
    if ((error as { code?: string }).code !== 'ERR_LIMIT') throw error
    return `it wrote over ${limits.maxOutputBytes} bytes`
  }
}

try {
  for (const [name, code] of Object.entries(submissions)) {
    const program = compile(code)
    let said = 'accepted'
    for (const [index, { input, output }] of tests.entries()) {
      const failure = await verdict(program, input, output)
      if (failure !== '') said = `test ${index + 1}: ${failure}`
      if (failure !== '') break
    }
    console.log(`${name}: ${said}`)
  }
} finally {
  rmSync(folder, { recursive: true })
}
