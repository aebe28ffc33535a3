import vmexit = require('vmexit')
import gdb = require('vmexit/gdb')

const vm: vmexit.VirtualMachine = new vmexit.VirtualMachine({
  mode: 'real',
  payload: vmexit.guests.hello,
  routes: [{ port: 0xe9, to: 'console' }],
})
const { reason }: vmexit.RunResult = vm.runSync()
console.log(reason, Number(vm.registers().rax))
const serve: (machine: typeof vm) => Promise<gdb.GdbServer> = gdb.listenGdb
if (typeof serve !== 'function') throw new Error('vmexit/gdb is not whole')
vm.close()
