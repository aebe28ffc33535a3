// End a run by an AbortSignal
//
// prints: Error: enough of that
//         a further run: timeout
import { VirtualMachine, guests } from 'vmexit'

using vm = new VirtualMachine({ mode: 'long', payload: guests.spin })

const button = new AbortController()
setTimeout(() => button.abort(new Error('enough of that')), 20)
const signal = AbortSignal.any([button.signal, AbortSignal.timeout(10_000)])
try {
  await vm.run({ signal })
} catch (error) {
  console.log(String(error))
}

const { reason } = await vm.run({ timeoutMs: 20 }) // the machine is as it was
console.log(`a further run: ${reason}`)
