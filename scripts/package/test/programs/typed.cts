import vmexit = require('vmexit')

const vm: vmexit.VirtualMachine = new vmexit.VirtualMachine({
  mode: 'real',
  payload: vmexit.guests.hello,
  routes: [{ port: 0xe9, to: 'console' }],
})
const { reason }: vmexit.RunResult = vm.runSync()
console.log(reason, Number(vm.registers().rax))
vm.close()
