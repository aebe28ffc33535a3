import { checkRoute } from './check-route.ts'
import {
  checkArray,
  checkBoolean,
  checkBytes,
  checkFunction,
  checkInteger,
  checkKeys,
  checkMilliseconds,
  checkObject,
  checkString,
  checkWord,
} from './check.ts'
import { invalid } from '../native/errors.ts'
import type { AccessExit } from '../results/exit.ts'
import { Guest } from './guest.ts'
import { native } from '../native/native.ts'
import type { CpuMode, ImageFormat, Privilege } from '../native/words.ts'
import type { Handlers, Route } from './routes.ts'
import type { NativeConfig } from '../native/seam.ts'
import { isSignal } from './signal.ts'

/** A module of a multiboot image. */
export interface Module {
  /** Its bytes. They are copied. */
  image: Uint8Array
  /** The string that goes with it, default empty. */
  string?: string
}

/**
 * A guest program of your own, entered with the registers that `guest/README.md` lists, or that the format's boot protocol says.
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
  /**
   * `'flat'`: bytes as they stand. `'elf'`: ELF32 or ELF64. `'multiboot'`: multiboot 1. `'pvh'`: an ELF kernel with a PVH entry.
   * `'bzimage'`: a Linux kernel, boot protocol 2.06 or newer. Default: what the content says.
   */
  format?: ImageFormat
  /** Guest physical address of a flat image's first byte, default 0. The whole image lies inside memory. */
  loadGpa?: number
  /**
   * Guest physical address of the first instruction. Default: what the image says; for a flat one `loadGpa`. Below 1 MiB in
   * real mode, below 4 GiB in 32 bits.
   */
  entryGpa?: number
  /** The command line, for multiboot, PVH and bzImage. Default empty. */
  cmdline?: string
  /** The initial RAM disk, for PVH and bzImage. It is copied. */
  initrd?: Uint8Array
  /** For multiboot. */
  modules?: readonly Module[]
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
  /**
   * The mode of the first instruction. An image that is not flat says it itself: ELF32, multiboot and PVH start in
   * `'protected'`, ELF64 in `'long'`, a bzImage in `'long'` if it can.
   */
  mode?: CpuMode
  /** The privilege of the first instruction, default `'kernel'`; `'user'` needs mode `'long'`. */
  privilege?: Privilege
  /** Bytes of memory from address 0 on: a multiple of 4096, up to 3 GiB, default 2 MiB. Committed when touched. */
  memoryBytes?: number
  /** Further memory, up to 16 slots, default none. */
  slots?: readonly MemorySlot[]
  /** The guest program: an embedded one of `guests`, or an image of your own. */
  payload: Guest | Image
  /** Who answers which port and which address, up to 256. An exit that no route claims goes to `onExit`, or ends the run. */
  routes?: readonly Route[]
  /**
   * Number of vCPUs, 1 to 64, default 1. Each runs on a thread of its own under `run()`; `runSync()` takes one only. With an
   * irqchip all but the first wait for INIT and SIPI, as on a PC. Without one all start at the payload's entry, with their
   * index in RDI.
   */
  vcpus?: number
  /**
   * Whether the kernel plays PIC, IOAPIC, local APICs and PIT (KVM API, `KVM_CREATE_IRQCHIP`). A halted vCPU then waits for
   * an interrupt; without one `hlt` ends the run. Where it answers (ports 0x20, 0x21, 0x40 to 0x43, 0x61, 0xa0, 0xa1, 0x4d0 and
   * 0x4d1, the pages 0xfec00000 and 0xfee00000) no route may stand. Default false.
   */
  irqchip?: boolean
  /**
   * Whether there is a serial port, COM1 (port 0x3f8, line 4): `vm.serial`. Default: as `pc`.
   */
  serial?: boolean
  /**
   * Whether the rest of a PC is there, as a kernel expects it: keyboard controller, clock, power and reset registers, ACPI tables
   * at 0xe0000. What nobody claims is then an empty bus: reads are all ones, and `onExit` is not asked. Needs an irqchip, which
   * is the default then. Default false.
   */
  pc?: boolean
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
  /**
   * Adds the time inside `KVM_RUN` to `vm.counters().kvmRunMs`, at the price of two clock readings per exit.
   * Default false.
   */
  timeKvmRun?: boolean
}

/** Options of `run`. */
export interface RunOptions extends Omit<RunSyncOptions, 'onExit'> {
  /** As in `RunSyncOptions`; it may return a promise, for which the vCPU waits. */
  onExit?: (exit: AccessExit) => ExitAnswer | PromiseLike<ExitAnswer>
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
  'serial',
  'pc',
] as const
const defaultMemoryBytes = 2 * 1024 * 1024
const formats = ['flat', 'elf', 'multiboot', 'pvh', 'bzimage'] as const
const payloadKeys = [
  'image',
  'format',
  'loadGpa',
  'entryGpa',
  'cmdline',
  'initrd',
  'modules',
] as const
const maxGpa = 2 ** 52 - 1
const { maxTimeoutMs, maxSlots, maxRoutes, maxModules } = native.limits()
const maxUint32 = 2 ** 32 - 1

/** Checks the shape of a machine's options and fills in the defaults; the core checks the rest. */
export function checkMachineOptions(value: unknown): [NativeConfig, Handlers[]] {
  const options = checkObject('options', value)
  checkKeys('options', options, machineKeys)
  const { privilege: least = 'kernel', memoryBytes: size = defaultMemoryBytes } = options
  const { slots: further = [], routes: claims = [], vcpus = 1, pc: wantsPc = false } = options
  const pc = checkBoolean('pc', wantsPc)
  const { irqchip = pc, serial = pc, mode: first } = options
  const mode = first === undefined ? undefined : checkWord('mode', first, modes)
  const privilege = checkWord('privilege', least, ['kernel', 'user'])
  const memoryBytes = checkInteger('memoryBytes', size, 1, maxGpa)
  const slots = checkArray('slots', further, maxSlots, checkSlot)
  const payload = checkPayload(options['payload'])
  const routes = checkArray('routes', claims, maxRoutes, checkRoute)
  const config = {
    ...(mode && { mode }),
    privilege,
    memoryBytes,
    slots,
    payload,
    routes: routes.map(([route]) => route),
    vcpus: checkInteger('vcpus', vcpus, 1, maxUint32),
    irqchip: checkBoolean('irqchip', irqchip),
    serial: checkBoolean('serial', serial),
    pc,
  }
  return [config, routes.map(([, handlers]) => handlers)]
}

/** Checks the options of a run; each is read once, and what is checked is what counts. */
export function checkRunOptions(value: unknown, known: readonly (keyof RunOptions)[]): RunOptions {
  if (value === undefined) return {}
  const options = checkObject('options', value)
  checkKeys('options', options, known)
  const { timeoutMs, onExit, timeKvmRun, signal } = options
  const checked: RunOptions = {}
  if (timeoutMs !== undefined)
    checked.timeoutMs = checkMilliseconds('timeoutMs', timeoutMs, maxTimeoutMs)
  checkFunction('onExit', onExit)
  if (onExit !== undefined) checked.onExit = onExit as NonNullable<RunOptions['onExit']>
  if (timeKvmRun !== undefined) checked.timeKvmRun = checkBoolean('timeKvmRun', timeKvmRun)
  if (signal !== undefined)
    checked.signal = isSignal(signal) ? signal : invalid('signal', 'an AbortSignal', signal)
  return checked
}

function checkSlot(value: unknown, name: string): Required<MemorySlot> {
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
  if (Guest.is(value)) return { guest: value.name, loadGpa: 0, modules: [] }
  const payload = checkObject('payload', value)
  checkKeys('payload', payload, payloadKeys)
  const { format, cmdline, initrd, loadGpa = 0, entryGpa, modules = [] } = payload
  return {
    image: checkBytes('payload.image', payload['image']),
    ...(format !== undefined && { format: checkWord('payload.format', format, formats) }),
    loadGpa: checkInteger('payload.loadGpa', loadGpa, 0, maxGpa),
    ...(entryGpa !== undefined && {
      entryGpa: checkInteger('payload.entryGpa', entryGpa, 0, maxGpa),
    }),
    ...(cmdline !== undefined && { cmdline: checkString('payload.cmdline', cmdline) }),
    ...(initrd !== undefined && { initrd: checkBytes('payload.initrd', initrd) }),
    modules: checkArray('payload.modules', modules, maxModules, checkModule),
  }
}

function checkModule(value: unknown, name: string): Required<Module> {
  const module = checkObject(name, value)
  checkKeys(name, module, ['image', 'string'])
  const { image, string = '' } = module
  return {
    image: checkBytes(`${name}.image`, image),
    string: checkString(`${name}.string`, string),
  }
}
