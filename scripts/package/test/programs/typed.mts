import {
  type Device,
  type WriteBatch,
  type Exit,
  type Registers,
  type Route,
  type RunResult,
  VirtualMachine,
  VmError,
  guests,
} from 'vmexit'
import { type GdbOptions, type GdbServer, listenGdb } from 'vmexit/gdb'
import { GuestFault, type Library, instantiate } from 'vmexit/process'

const keyboard: Device = { read: (offset: number) => 0x1c + offset }

const routes: Route[] = [
  { port: 0xe9, to: 'console' },
  { port: 0x60, device: keyboard },
  { port: 0x200, to: 'queue', onBatch: (batch: WriteBatch) => void batch.length },
]

/** The machine of one entry is that of the other. */
export const serve: (vm: VirtualMachine, options: GdbOptions) => Promise<GdbServer> = listenGdb

/** What a signature says is what the function takes and gives. */
export async function add(image: Uint8Array): Promise<number> {
  const lib: Library<{ add: 'i32(i32, i32)' }> = await instantiate(image, {
    exports: { add: 'i32(i32, i32)' },
  })
  try {
    return lib.exports.add(40, 2)
  } catch (error) {
    return error instanceof GuestFault ? (error.vector ?? -1) : -1
  } finally {
    lib.close()
  }
}

function boot(): [RunResult, Registers] {
  const vm = new VirtualMachine({ mode: 'real', payload: guests.hello, routes })
  try {
    return [vm.runSync({ timeoutMs: 10_000 }), vm.registers()]
  } finally {
    vm.close()
  }
}

try {
  const [result, { rax }] = boot()
  const exit: Exit | null = result.exit
  console.log(exit?.reason ?? result.reason, Number(rax satisfies bigint))
} catch (error) {
  if (error instanceof VmError) console.log(error.code)
  throw error
}
