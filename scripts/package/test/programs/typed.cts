import vmexit = require('vmexit')
import gdb = require('vmexit/gdb')
import native = require('vmexit/process')

const vm: vmexit.VirtualMachine = new vmexit.VirtualMachine({
  mode: 'real',
  payload: vmexit.guests.hello,
  routes: [{ port: 0xe9, to: 'console' }],
})
const { reason }: vmexit.RunResult = vm.runSync()
console.log(reason, Number(vm.registers().rax))
const serve: (machine: typeof vm) => Promise<gdb.GdbServer> = gdb.listenGdb
if (typeof serve !== 'function') throw new Error('vmexit/gdb is not whole')
const { instantiate }: { instantiate: typeof native.instantiate } = native
if (typeof instantiate !== 'function') throw new Error('vmexit/process is not whole')
vm.close()
