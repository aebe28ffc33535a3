import { checkArray, checkBoolean, checkInteger, checkWord } from './check.ts'
import type { Guest } from './guest.ts'
import { native } from '../native/native.ts'
import type { NativeConfig, NativeSlot } from '../native/seam.ts'
import { faults, modes, privileges } from '../native/words.ts'
import { type Disk, type DiskDevice, disksKey } from './virtio/disks.ts'
import { type CheckedCard, type NetworkCard, checkNetwork, randomMac } from './virtio/network.ts'
import { checkPorts } from './virtio/ports.ts'
import { type Image, checkPayload } from './payload.ts'
import { type Handlers, type Route, routesKey } from './routes.ts'
import { type ScreenSize, checkScreen } from './screen.ts'
import { checkShape, likewise, optional, otherwise, required } from './shape.ts'

/**
 * Memory beside that at address 0 (KVM API, `KVM_SET_USER_MEMORY_REGION`). Slots do not overlap.
 *
 * @category Machine
 */
export interface MemorySlot
  extends Omit<NativeSlot, 'readOnly'>, Partial<Pick<NativeSlot, 'readOnly'>> {}

/**
 * What a machine is made of.
 *
 * @category Machine
 */
export interface VirtualMachineOptions extends Partial<
  Omit<
    NativeConfig,
    'slots' | 'payload' | 'routes' | 'screen' | 'disks' | 'network' | 'ports' | 'user'
  >
> {
  /** Further memory, up to 16 slots, default none. */
  slots?: readonly MemorySlot[]
  /** The guest program: an embedded one of `guests`, or an image of your own. */
  payload: Guest | Image
  /**
   * What answers which port and which address, up to 256 routes. An exit that no route claims goes
   * to `onExit`, or ends the run.
   */
  routes?: readonly Route[]
  /**
   * What the guest is shown on, `vm.screen`: `'text'` for 80 columns and 25 lines of characters at
   * 0xb8000, or the size of a framebuffer at 0xf0000000, of four bytes per pixel. It needs
   * `pc: true`. Default none.
   */
  screen?: 'text' | ScreenSize
  /** virtio disks, up to 6, default none: the first is `/dev/vda`. They need `pc`. */
  disks?: readonly Disk[]
  /** Network cards, up to 4, default none. They need `pc`. */
  network?: readonly NetworkCard[]
  /**
   * Names of console ports, up to 15: in the guest `/dev/virtio-ports/agent`, here
   * `vm.ports.get('agent')`. With `ports`, even without a name, there is a console, too:
   * `/dev/hvc0` and `vm.ports.get(0)`. They need `pc`.
   */
  ports?: readonly string[]
}

const maxGpa = 2 ** 52 - 1
const maxUint32 = 2 ** 32 - 1
const { maxSlots } = native.limits()

const slotShape = {
  gpa: required((name, value) => checkInteger(name, value, 0, maxGpa)),
  bytes: required((name, value) => checkInteger(name, value, 1, maxGpa)),
  readOnly: otherwise(false, checkBoolean),
}

/** The options of a machine, with their defaults; the core checks what their shape does not say. */
const machineShape = {
  mode: optional((name, value) => checkWord(name, value, modes)),
  privilege: otherwise('kernel', (name, value) => checkWord(name, value, privileges)),
  faults: optional((name, value) => checkWord(name, value, faults)),
  memoryBytes: otherwise(2 * 1024 * 1024, (name, value) => checkInteger(name, value, 1, maxGpa)),
  slots: otherwise<NativeSlot[]>([], (name, value) =>
    checkArray(name, value, maxSlots, (item, at) => checkShape(at, item, slotShape)),
  ),
  payload: required(checkPayload),
  routes: routesKey,
  vcpus: otherwise(1, (name, value) => checkInteger(name, value, 1, maxUint32)),
  irqchip: likewise('pc', checkBoolean),
  serial: likewise('pc', checkBoolean),
  pc: otherwise(false, checkBoolean),
  screen: optional(checkScreen),
  disks: disksKey,
  network: otherwise<CheckedCard[]>([], checkNetwork),
  ports: optional(checkPorts),
}

/** Options that were checked: what the native side gets, and what has functions and streams. */
export interface CheckedOptions {
  readonly config: NativeConfig
  readonly handlers: readonly Handlers[]
  readonly network: readonly CheckedCard[]
  /** Who answers each disk; `undefined` for those that Rust answers. */
  readonly disks: readonly (DiskDevice | undefined)[]
}

/** Checks the shape of a machine's options and fills in the defaults. */
export function checkMachineOptions(value: unknown): CheckedOptions {
  const { routes, network, disks, ...rest } = checkShape('options', value, machineShape, '')
  const config = {
    ...rest,
    routes: routes.map(([route]) => route),
    disks: disks.map(([disk]) => disk),
    network: network.map(({ mac }) => ({ mac: mac ?? randomMac() })),
  }
  return {
    config,
    handlers: routes.map(([, handlers]) => handlers),
    network,
    disks: disks.map(([, device]) => device),
  }
}
