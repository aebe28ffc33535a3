import { VirtualMachine, guests } from 'vmexit'

const vm = new VirtualMachine({
  mode: 'real',
  payload: guests.hello,
  routes: [{ port: 0xe9, to: 'console' }],
})
const { reason, outputText } = vm.runSync()
const { rax } = vm.registers()
vm.close()

const other = new VirtualMachine({ mode: 'real', payload: guests.hello, routes: [] })
const { reason: otherReason } = await other.run({ onExit: () => {} })
other.close()
console.log(reason, otherReason, JSON.stringify(outputText), Number(rax))
