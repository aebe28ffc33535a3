// Judge programs by time and memory
//
// needs: /bin/busybox
// prints: right: read n; echo $((n * n))
//         wrong: echo 50
//         timeout: while :; do :; done
//         SIGSEGV: x=x; while :; do x=$x$x; done
//         ERR_LIMIT: while :; do echo 49; done
import { execute, hostFile } from 'vmexit/process'

const files = { '/bin/busybox': hostFile('/bin/busybox', { readOnly: true }) }
const limits = { timeoutMs: 5000, memoryBytes: 8 << 20, maxOutputBytes: 100 }

async function judge(program: string): Promise<string> {
  try {
    const options = { files, stdin: '7\n', ...limits }
    const run = await execute('/bin/busybox', ['sh', '-c', program], options)
    if (run.reason !== 'exit') return run.signal === 'SIGKILL' ? run.reason : run.signal!
    return run.stdout === '49\n' ? 'right' : 'wrong'
  } catch (error) {
    return (error as { code: string }).code // more output than is allowed
  }
}
const spins = 'while :; do :; done'
const greedy = 'x=x; while :; do x=$x$x; done'
const chatty = 'while :; do echo 49; done'
for (const program of ['read n; echo $((n * n))', 'echo 50', spins, greedy, chatty]) {
  console.log(`${await judge(program)}: ${program}`)
}
