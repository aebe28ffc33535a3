import { VirtualMachine, guests } from '../../index.ts'
import { raise } from '../../native/errors.ts'
import { callImage, hltImage } from '../images.ts'
import { RepeatedRoute, type Work } from './repeated-route.ts'
import type { BenchRoute } from './route.ts'

function halting(): VirtualMachine {
  return new VirtualMachine({ mode: 'long', payload: { image: hltImage } })
}

/** What is done with one machine, which goes afterwards. */
function on(vm: VirtualMachine, once: () => unknown): Work {
  return { once, [Symbol.dispose]: () => vm.close() }
}

function live(): void {
  const vm = halting()
  vm.runSync()
  vm.close()
}

/** Routes where JavaScript calls, and the guest answers: what a call of the API costs. */
export const machineRoutes: readonly BenchRoute[] = [
  new RepeatedRoute({
    name: 'hlt',
    unit: 'round trip',
    kind: 'hlt',
    about: 'every halt ends a runSync() and JavaScript starts the next one',
    timing: 'each runSync()',
    exits: 1,
    begin() {
      const vm = halting()
      return on(vm, () => vm.runSync())
    },
  }),
  new RepeatedRoute({
    name: 'run-sync',
    unit: 'run',
    kind: 'hlt',
    about: 'runSync() to the halt of the guest, whose result is looked at',
    timing: 'each runSync()',
    exits: 1,
    begin() {
      const vm = halting()
      return on(vm, () => {
        const { reason } = vm.runSync()
        if (reason !== 'hlt') raise(new Error(`the run ended with ${reason}`))
      })
    },
  }),
  new RepeatedRoute({
    name: 'run',
    unit: 'run',
    kind: 'hlt',
    about: 'await run() to the halt of the guest, on a thread of its own',
    timing: 'each await run()',
    exits: 4,
    awaits: true,
    begin() {
      const vm = halting()
      return on(vm, () => vm.run())
    },
  }),
  new RepeatedRoute({
    name: 'registers',
    unit: 'call',
    kind: null,
    about:
      'registers() of an idle machine with nothing pending; C finds them in kvm_run, for nothing',
    timing: 'each registers()',
    exits: 1,
    begin() {
      const vm = halting()
      vm.runSync()
      return on(vm, () => vm.registers())
    },
  }),
  new RepeatedRoute({
    name: 'call',
    unit: 'call',
    kind: 'call',
    about:
      "a function of the guest's in one call: runSync({ registers }), of whose result registers are looked at",
    timing: 'each call',
    exits: 1,
    begin() {
      const vm = new VirtualMachine({ mode: 'long', payload: { image: callImage } })
      let rdi = 0n
      return on(vm, () => {
        rdi += 1n
        const { rax } = vm.runSync({ registers: { rip: 0n, rdi } }).registers
        if (rax !== rdi + 7n) raise(new Error(`the call of ${rdi} returned ${rax}`))
      })
    },
  }),
  new RepeatedRoute({
    name: 'pause',
    unit: 'pause',
    kind: null,
    about: 'await pause() and resume() of a guest that spins under run()',
    timing: 'each pause() and resume()',
    exits: 4,
    awaits: true,
    begin() {
      const vm = new VirtualMachine({ mode: 'long', payload: guests.spin })
      // It ends with its machine.
      vm.run().catch(() => undefined)
      return on(vm, async () => {
        await vm.pause()
        vm.resume()
      })
    },
  }),
  new RepeatedRoute({
    name: 'lifecycle',
    unit: 'machine',
    kind: 'lifecycle',
    others: ['lifecycle-alone'],
    about:
      'create a machine, run it to its first exit, close it; lifecycle-alone is C before this process had a machine, ' +
      'when KVM patches its code for each of its own',
    timing: 'each machine',
    // A machine costs some hundred exits.
    exits: 200,
    begin: () => ({ once: live, [Symbol.dispose]: () => undefined }),
  }),
]
