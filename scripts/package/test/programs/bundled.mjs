import { VirtualMachine, guests } from 'vmexit'

const routes = [{ port: 0xe9, to: 'console' }]
const vm = new VirtualMachine({ mode: 'real', payload: guests.hello, routes })
const { reason, outputText } = vm.runSync({ timeoutMs: 300_000 })
vm.close()
console.log(reason, outputText.trim())
