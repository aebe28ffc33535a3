const { VirtualMachine, guests } = require('vmexit')

async function main() {
  const routes = [{ port: 0xe9, to: 'console' }]
  const vm = new VirtualMachine({ mode: 'real', payload: guests.hello, routes })
  const { reason, outputText } = vm.runSync()
  const { rax } = vm.registers()
  vm.close()

  const other = new VirtualMachine({ mode: 'real', payload: guests.hello })
  const { reason: otherReason } = await other.run({ onExit: () => {} })
  other.close()
  console.log(reason, otherReason, JSON.stringify(outputText), Number(rax))
}

main()
