import {
  checkArray,
  checkBoolean,
  checkFunction,
  checkInteger,
  checkKeys,
  checkMilliseconds,
  checkObject,
  checkWord,
} from './check.ts'
import { fail, invalid, show } from './errors.ts'
import type { AccessExit } from './exit.ts'
import { Guest } from './guest.ts'
import { native } from './native.ts'
import { type Handlers, type Route, checkRoute } from './routes.ts'
import type { NativeConfig } from './seam.ts'

/**
 * The mode in which the vCPU executes its first instruction (Intel SDM vol. 3A §2.2): 16-bit real-address
 * mode; 32-bit protected mode with flat segments; the same with 4 MiB pages; 64-bit mode with 2 MiB pages.
 */
export type CpuMode = 'real' | 'protected' | 'paged32' | 'long'

/** The ring in which the guest starts: CPL 0, or CPL 3 with IOPL 3 (long mode only). */
export type Privilege = 'kernel' | 'user'

/** A guest program of your own: a flat image. */
export interface Image {
  /** The bytes, at least one. They are copied. */
  image: Uint8Array
  /** Guest physical address of the first byte, default 0. */
  loadGpa?: number
  /** Guest physical address of the first instruction, default `loadGpa`. Below 1 MiB in real mode. */
  entryGpa?: number
}

/** Memory beside that at address 0 (KVM API, `KVM_SET_USER_MEMORY_REGION`). */
export interface MemorySlot {
  /** First guest physical address, a multiple of 4096, outside 0xfe000000 to 0xffffffff. */
  gpa: number
  /** Size, a multiple of 4096. */
  bytes: number
  /** The guest's writes exit as `mmio-write`; `vm.memory.write` still works. Default false. */
  readOnly?: boolean
}

/** What a machine is made of. */
export interface VirtualMachineOptions {
  /** The mode of the first instruction. */
  mode: CpuMode
  /** The ring of the first instruction, default `'kernel'`; `'user'` needs mode `'long'`. */
  privilege?: Privilege
  /** Memory from address 0 on: a multiple of 4096, up to 3 GiB, default 2 MiB. Committed when touched. */
  memoryBytes?: number
  /** Further memory, up to 16 slots. */
  slots?: readonly MemorySlot[]
  /** The guest program: an embedded one of `guests`, or an image of your own. */
  payload: Guest | Image
  /** Who answers which port and which address, up to 256. Exits that no route claims end the run. */
  routes?: readonly Route[]
  /**
   * Number of vCPUs, 1 to 64, default 1. Each runs on a thread of its own under `run()`; `runSync()` takes one only. With an
   * irqchip all but the first wait for INIT and SIPI, as on a PC. Without one all start at the payload's entry, with their
   * index in RDI.
   */
  vcpus?: number
  /**
   * Whether the kernel plays PIC, IOAPIC, local APICs and PIT (KVM API, `KVM_CREATE_IRQCHIP`). A halted vCPU then waits for
   * an interrupt; without one `hlt` ends the run. Default false.
   */
  irqchip?: boolean
}

/** Options of `runSync`. */
export interface RunSyncOptions {
  /** The run ends with reason `'timeout'` after this time. Default: no limit. */
  timeoutMs?: number
  /**
   * Asked about every port or MMIO exit that no route claims. Returns the value of a read (for a string
   * read also a `Uint8Array` of size times count bytes), nothing to go on behind a write, or `false` to end
   * the run there.
   */
  onExit?: (exit: AccessExit) => unknown
  /**
   * Adds the time inside `KVM_RUN` to `vm.counters().kvmRunMs`, at the price of two clock readings per exit.
   * Default false.
   */
  timeKvmRun?: boolean
}

/** Options of `run`, where `onExit` may return a promise. */
export interface RunOptions extends RunSyncOptions {
  /** Aborting it ends the run and rejects with its reason; the machine stays usable. */
  signal?: AbortSignal
}

const modes = ['real', 'protected', 'paged32', 'long'] as const
const machineKeys = [
  'mode',
  'privilege',
  'memoryBytes',
  'slots',
  'payload',
  'routes',
  'vcpus',
  'irqchip',
] as const
const defaultMemoryBytes = 2 * 1024 * 1024
const maxGpa = 2 ** 52 - 1
const { maxTimeoutMs } = native.limits()
const maxUint32 = 2 ** 32 - 1

/** Checks the shape of a machine's options and fills in the defaults; the core checks the rest. */
export function checkMachineOptions(value: unknown): [NativeConfig, Handlers[]] {
  const options = checkObject('options', value)
  checkKeys('options', options, machineKeys)
  const { privilege: ring = 'kernel', memoryBytes: size = defaultMemoryBytes } = options
  const { slots: further = [], routes: claims = [], vcpus = 1, irqchip = false } = options
  const mode = checkWord('mode', options['mode'], modes)
  const privilege = checkWord('privilege', ring, ['kernel', 'user'])
  const memoryBytes = checkInteger('memoryBytes', size, 1, maxGpa)
  const slots = checkArray('slots', further).map(checkSlot)
  const payload = checkPayload(options['payload'])
  const routes = checkArray('routes', claims).map(checkRoute)
  const config = {
    mode,
    privilege,
    memoryBytes,
    slots,
    payload,
    routes: routes.map(([route]) => route),
    vcpus: checkInteger('vcpus', vcpus, 1, maxUint32),
    irqchip: checkBoolean('irqchip', irqchip),
  }
  return [config, routes.map(([, handlers]) => handlers)]
}

/** Checks the options of a run. */
export function checkRunOptions(value: unknown, known: readonly (keyof RunOptions)[]): RunOptions {
  if (value === undefined) return {}
  const options = checkObject('options', value)
  checkKeys('options', options, known)
  const { timeoutMs, onExit, timeKvmRun, signal } = options
  if (timeoutMs !== undefined) checkMilliseconds('timeoutMs', timeoutMs, maxTimeoutMs)
  checkFunction('onExit', onExit)
  if (timeKvmRun !== undefined) checkBoolean('timeKvmRun', timeKvmRun)
  if (signal !== undefined && !(signal instanceof AbortSignal))
    invalid('signal', 'an AbortSignal', signal)
  return options
}

function checkSlot(value: unknown, index: number): Required<MemorySlot> {
  const name = `slots[${index}]`
  const slot = checkObject(name, value)
  checkKeys(name, slot, ['gpa', 'bytes', 'readOnly'])
  const { readOnly = false } = slot
  return {
    gpa: checkInteger(`${name}.gpa`, slot['gpa'], 0, maxGpa),
    bytes: checkInteger(`${name}.bytes`, slot['bytes'], 1, maxGpa),
    readOnly: checkBoolean(`${name}.readOnly`, readOnly),
  }
}

function checkPayload(value: unknown): NativeConfig['payload'] {
  if (value instanceof Guest) return { guest: value.name, loadGpa: 0, entryGpa: 0 }
  const payload = checkObject('payload', value)
  checkKeys('payload', payload, ['image', 'loadGpa', 'entryGpa'])
  const { image, loadGpa: load = 0, entryGpa: entry = load } = payload
  if (!(image instanceof Uint8Array)) {
    return fail('ERR_INVALID_OPTION', `payload.image must be a Uint8Array, got ${show(image)}`)
  }
  const loadGpa = checkInteger('payload.loadGpa', load, 0, maxGpa)
  const entryGpa = checkInteger('payload.entryGpa', entry, 0, maxGpa)
  return { image, loadGpa, entryGpa }
}
