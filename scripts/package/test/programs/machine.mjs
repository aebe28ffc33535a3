import { VirtualMachine, guests } from 'vmexit'

const vm = new VirtualMachine({ mode: 'real', payload: guests.spin })
// The first run on this thread prepares for kicks; the second has a thread of its own.
vm.runSync({ timeoutMs: 1 })
void vm.run()
export { vm }
