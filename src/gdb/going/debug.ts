import { fail } from '../../native/errors.ts'
import type { VirtualMachine } from '../../machine/virtual-machine.ts'

type Handler = (hit: { readonly vcpu: number }) => Promise<void> | undefined

/** Stops of a machine, as far as a debugger sets them. */
interface Debug {
  breakpoint(at: bigint, handler: Handler): Disposable
  watch(at: bigint, options: { size: number; on: string }, handler: Handler): Disposable
  onStep(handler: Handler, options: { vcpu: number; alone: boolean }): Disposable
}

/** The stops of a machine. */
export function debugOf(vm: VirtualMachine): Debug {
  const { debug } = vm as unknown as { debug?: Debug }
  return debug ?? fail('ERR_KVM_CAPABILITY', 'this machine has no stops')
}
