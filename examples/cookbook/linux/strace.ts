// Write strace in ten lines
//
// needs: /bin/busybox
// prints: openat("/in.txt") = 3
//         read(3) = 4
//         write(1) = 4
//         read(3) = 0
//         close(3) = 0
import { Process, hostFile } from 'vmexit/process'

const files = { '/bin/busybox': hostFile('/bin/busybox', { readOnly: true }), '/in.txt': 'one\n' }
await using program = new Process('/bin/busybox', { args: ['cat', '/in.txt'], files })
for (const name of ['openat', 'read', 'write', 'close']) {
  program.syscalls.set(name, async ({ args, memory }, next) => {
    const what = name === 'openat' ? JSON.stringify(memory.readString(args[1]!)) : args[0]
    const result = await next() // as vmexit answers it
    console.log(`${name}(${what}) = ${result}`)
    return result
  })
}
program.stdout.resume()
await program.exited
