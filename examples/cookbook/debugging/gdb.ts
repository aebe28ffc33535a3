// Attach gdb to a guest
//
// needs: gdb
// prints: $1 = 1000
//         stopped
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { VirtualMachine, assembleSync } from 'vmexit'
import { listenGdb } from 'vmexit/gdb'

const image = assembleSync('again: inc eax; cmp eax, 1000; jne again; spin: jmp spin', { bits: 64 })
using vm = new VirtualMachine({ mode: 'long', payload: { image } })
await using gdb = await listenGdb(vm, { port: 0 })
const run = gdb.run({ timeoutMs: 60_000 }) // begins when gdb says so

// By hand: gdb -ex 'target remote :PORT'
const commands = [`target remote :${gdb.port}`, 'break *9', 'continue', 'print $rax', 'kill']
const args = commands.flatMap((command) => ['-ex', command])
const { stdout } = await promisify(execFile)('gdb', ['-nx', '-batch', ...args])

console.log(stdout.match(/^\$1.*$/m)?.[0])
console.log((await run).reason)
