// The classic walk-through's exit loop: no route at all, every exit comes back here.
//
//   node --import @oxc-node/core/register examples/exit-loop.ts
//
// prints: Hello, world!
//         RAX = 42, [0x400] = 42
import { VirtualMachine, guests } from 'vmexit'

using vm = new VirtualMachine({ mode: 'long', payload: guests.hello })

for (;;) {
  const { exit, reason } = vm.runSync()
  if (exit?.reason !== 'pio-out' || exit.port !== 0xe9) {
    if (reason !== 'hlt') console.error(`unexpected ${reason}`)
    break
  }
  process.stdout.write(exit.data)
}

console.log(`RAX = ${vm.registers().rax}, [0x400] = ${vm.memory.readUint64(0x400)}`)
