// Bound the time and output of a guest
//
// prints: spins: timeout
//         prints: stopped
//         reaches beyond its memory: mmio-read
//         crashes: fault #UD
import { VirtualMachine, assembleSync } from 'vmexit'

const programs = {
  spins: 'jmp .',
  prints: 'again: out 0xe9, al; jmp again',
  'reaches beyond its memory': 'mov eax, [0x40000000]',
  crashes: 'ud2',
}
for (const [name, code] of Object.entries(programs)) {
  let room = 100
  const onData = (bytes: Uint8Array): void => {
    room -= bytes.length
    if (room < 0) vm.stop()
  }
  using vm = new VirtualMachine({
    mode: 'long',
    memoryBytes: 1 << 20,
    faults: 'report',
    payload: { image: assembleSync(code, { bits: 64 }) },
    routes: [{ port: 0xe9, to: 'console', onData }],
  })
  const { reason, fault } = await vm.run({ timeoutMs: 5000 })
  console.log(`${name}: ${reason} ${fault?.name ?? ''}`.trimEnd())
}
