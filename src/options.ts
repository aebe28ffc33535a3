import { checkRoute } from './check-route.ts'
import {
  checkArray,
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
import type { Handlers, Route } from './routes.ts'
import type { NativeConfig } from './seam.ts'

/**
 * The mode in which the vCPU executes its first instruction (Intel SDM vol. 3A §2.2): `'real'`, 16-bit
 * real-address mode; `'protected'`, 32 bits with flat segments; `'paged32'`, the same with 4 MiB pages;
 * `'long'`, 64 bits with 2 MiB pages. Which of them this machine runs is what `npx vmexit doctor` prints.
 */
export type CpuMode = 'real' | 'protected' | 'paged32' | 'long'

/** The ring in which the guest starts: CPL 0, or CPL 3 with IOPL 3, which allows port I/O (long mode only). */
export type Privilege = 'kernel' | 'user'

/**
 * A guest program of your own: a flat image, entered with the registers that `guest/README.md` lists.
 *
 * @example
 * ```ts
 * const image = Uint8Array.of(0xb8, 0x2a, 0x00, 0xf4) // mov ax, 42; hlt
 * using vm = new VirtualMachine({ mode: 'real', payload: { image, loadGpa: 0x7c00 } })
 * vm.runSync()
 * console.log(vm.registers().rax) // 42n
 * ```
 */
export interface Image {
  /** The bytes, at least one. They are copied. */
  image: Uint8Array
  /** Guest physical address of the first byte, default 0. The whole image lies inside memory. */
  loadGpa?: number
  /** Guest physical address of the first instruction, default `loadGpa`. Below 1 MiB in real mode, below 4 GiB in 32 bits. */
  entryGpa?: number
}

/** Memory beside that at address 0 (KVM API, `KVM_SET_USER_MEMORY_REGION`). Slots do not overlap. */
export interface MemorySlot {
  /** First guest physical address, a multiple of 4096, below 512 GiB, outside 0xfe000000 to 0xffffffff. */
  gpa: number
  /** Size in bytes, a multiple of 4096. Committed when touched. */
  bytes: number
  /** The guest's writes exit as `mmio-write` (`KVM_MEM_READONLY`); `vm.memory.write` still works. Default false. */
  readOnly?: boolean
}

/** What a machine is made of. */
export interface VirtualMachineOptions {
  /** The mode of the first instruction. */
  mode: CpuMode
  /** The ring of the first instruction, default `'kernel'`; `'user'` needs mode `'long'`. */
  privilege?: Privilege
  /** Bytes of memory from address 0 on: a multiple of 4096, up to 3 GiB, default 2 MiB. Committed when touched. */
  memoryBytes?: number
  /** Further memory, up to 16 slots, default none. */
  slots?: readonly MemorySlot[]
  /** The guest program: an embedded one of `guests`, or an image of your own. */
  payload: Guest | Image
  /** Who answers which port and which address, up to 256. An exit that no route claims goes to `onExit`, or ends the run. */
  routes?: readonly Route[]
}

/**
 * What `onExit` returns: the value of a read, for every item, or all its bytes, size times count; `false` to end
 * the run there. Behind a write nothing else matters.
 */
export type ExitAnswer = number | bigint | Uint8Array | false | void

/** Options of `runSync`. */
export interface RunSyncOptions {
  /**
   * The run ends with reason `'timeout'` after so many milliseconds, 0 to 4294967295, fractions included.
   * Default: no limit.
   */
  timeoutMs?: number
  /**
   * Asked about every port or MMIO exit that no route claims. Default: such an exit ends the run.
   *
   * @example
   * ```ts
   * using vm = new VirtualMachine({ mode: 'long', payload: guests.hello })
   * let text = ''
   * vm.runSync({
   *   onExit(exit) {
   *     if (exit.reason !== 'pio-out' || exit.port !== 0xe9) return false
   *     text += String.fromCharCode(...exit.data)
   *     return undefined
   *   },
   * })
   * console.log(text) // Hello, world!
   * ```
   */
  onExit?: (exit: AccessExit) => ExitAnswer
}

/** Options of `run`. */
export interface RunOptions extends Omit<RunSyncOptions, 'onExit'> {
  /** As in `RunSyncOptions`; it may return a promise, for which the vCPU waits. */
  onExit?: (exit: AccessExit) => ExitAnswer | PromiseLike<ExitAnswer>
  /** Aborting it ends the run and rejects with its reason; the machine stays usable. */
  signal?: AbortSignal
}

const modes = ['real', 'protected', 'paged32', 'long'] as const
const defaultMemoryBytes = 2 * 1024 * 1024
const maxGpa = 2 ** 52 - 1
const { maxTimeoutMs } = native.limits()

/** Checks the shape of a machine's options and fills in the defaults; the core checks the rest. */
export function checkMachineOptions(value: unknown): [NativeConfig, Handlers[]] {
  const options = checkObject('options', value)
  checkKeys('options', options, ['mode', 'privilege', 'memoryBytes', 'slots', 'payload', 'routes'])
  const { privilege: ring = 'kernel', memoryBytes: size = defaultMemoryBytes } = options
  const { slots: further = [], routes: claims = [] } = options
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
  }
  return [config, routes.map(([, handlers]) => handlers)]
}

/** Checks the options of a run. */
export function checkRunOptions(value: unknown, known: readonly (keyof RunOptions)[]): RunOptions {
  if (value === undefined) return {}
  const options = checkObject('options', value)
  checkKeys('options', options, known)
  const { timeoutMs, onExit, signal } = options
  if (timeoutMs !== undefined) checkMilliseconds('timeoutMs', timeoutMs, maxTimeoutMs)
  checkFunction('onExit', onExit)
  if (signal !== undefined && !(signal instanceof AbortSignal))
    invalid('signal', 'an AbortSignal', signal)
  return options
}

function checkSlot(value: unknown, index: number): Required<MemorySlot> {
  const name = `slots[${index}]`
  const slot = checkObject(name, value)
  checkKeys(name, slot, ['gpa', 'bytes', 'readOnly'])
  const { readOnly = false } = slot
  if (typeof readOnly !== 'boolean') return invalid(`${name}.readOnly`, 'true or false', readOnly)
  return {
    gpa: checkInteger(`${name}.gpa`, slot['gpa'], 0, maxGpa),
    bytes: checkInteger(`${name}.bytes`, slot['bytes'], 1, maxGpa),
    readOnly,
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
