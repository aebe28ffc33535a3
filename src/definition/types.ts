import type { CpuMode, Faults, ImageFormat, Privilege } from '../native/words.ts'
import type { ConsoleTarget, ConstantTarget, PlainTarget } from '../options/plain-routes.ts'
import type { VirtualMachineOptions } from '../options/options.ts'

/**
 * A whole number of a {@link MachineDefinition}: a JSON number up to 2^53 - 1, or a string with a
 * decimal or hexadecimal number, `'4096'` or `'0x1000'`, which also holds 64 bits.
 *
 * @category Definitions
 */
export type DefinedNumber = number | string

/**
 * Memory beside that at address 0, as {@link MemorySlot} has it.
 *
 * @category Definitions
 */
export interface DefinedSlot {
  /** First guest physical address. */
  gpa: DefinedNumber
  /** Size in bytes. */
  bytes: DefinedNumber
  /** The guest's writes exit. Default false. */
  readOnly?: boolean
}

/**
 * A multiboot module by path.
 *
 * @category Definitions
 */
export interface DefinedModule {
  /** Its file: an absolute path, or one relative to the base. */
  file: string
  /** Its string, default empty. */
  string?: string
}

/**
 * What firmware finds by name, from a file.
 *
 * @category Definitions
 */
export interface DefinedFile {
  /** The name by which firmware asks for it, as `vgaroms/vgabios.bin`. */
  name: string
  /** Its file: an absolute path, or one relative to the base. */
  file: string
}

/**
 * The screen, as {@link VirtualMachineOptions} has it.
 *
 * @category Definitions
 */
export type DefinedScreen =
  | 'text'
  | {
      /** Pixels of a row, 64 to 4096. */
      width: number
      /** Rows, 64 to 2160. */
      height: number
    }

/**
 * An embedded guest program by name.
 *
 * @category Definitions
 */
export interface DefinedGuest {
  /** Its name in `guest/`, such as `hello` or `pio-sizes`. */
  guest: string
  /** A guest is embedded, or in a file. */
  file?: never
}

/**
 * A guest program in a file, as {@link Image} has it. Paths are absolute, or relative to the base.
 *
 * @category Definitions
 */
export interface DefinedImage {
  /** A guest is embedded, or in a file. */
  guest?: never
  /** The file of the image. */
  file: string
  /** Default: determined by the content. */
  format?: ImageFormat
  /** Guest physical address of a flat image's first byte, default 0. */
  loadGpa?: DefinedNumber
  /** Guest physical address of the first instruction. */
  entryGpa?: DefinedNumber
  /** The command line, for all formats but flat and ELF. */
  cmdline?: string
  /** The file of the initial RAM disk, for PVH and bzImage. */
  initrd?: string
  /** For multiboot and multiboot 2. */
  modules?: DefinedModule[]
  /** For firmware, with `pc`. */
  files?: DefinedFile[]
}

/**
 * What a route of a definition claims: ports, or guest physical addresses.
 *
 * @category Definitions
 */
export type DefinedClaim =
  | {
      /** First I/O port. */
      port: DefinedNumber
      /** A claim has a port or an address. */
      gpa?: never
    }
  | {
      /** First guest physical address. */
      gpa: DefinedNumber
      /** A claim has a port or an address. */
      port?: never
    }

/**
 * A route that needs no function; the others are a module's business.
 *
 * @category Definitions
 */
export type DefinedRoute = DefinedClaim & {
  /** Ports or bytes, default 1. */
  length?: DefinedNumber
  /** Who answers, as {@link Route} has it. */
  to: (ConsoleTarget | ConstantTarget | PlainTarget)['to']
  /** What reads give, 0 to 2^64 - 1: for `constant`, and only there. */
  value?: DefinedNumber
}

/**
 * A disk that is a file, as {@link FileDisk} has it; the others are a module's business.
 *
 * @category Definitions
 */
export interface DefinedDisk {
  /** Its path: absolute, or relative to the base. */
  file: string
  /** Whether the guest cannot write. Default false. */
  readOnly?: boolean
  /** Whether the guest's writes stay in memory. Default false. */
  volatile?: boolean
}

/**
 * A network card that needs no stream; the others are a module's business.
 *
 * @category Definitions
 */
export interface DefinedCard {
  /** passt, run beside, connects it with the host. */
  passt: true
  /** The card's address, as {@link NetworkCard} has it. */
  mac?: string
}

/**
 * What a machine is made of, as data: it can be stored as JSON. `machine.schema.json` in the
 * package describes it to editors, and {@link fromDefinition} makes options of it. A key that is
 * not known is an error.
 *
 * @example
 * ```ts
 * const definition: MachineDefinition = {
 *   mode: 'long',
 *   payload: { guest: 'hello' },
 *   routes: [{ port: '0xe9', to: 'console' }],
 * }
 * using vm = new VirtualMachine(await fromDefinition(definition))
 * console.log(vm.runSync().outputText) // Hello, world!
 * ```
 *
 * @category Definitions
 */
export interface MachineDefinition {
  /** For editors; ignored. */
  $schema?: string
  /** The version of this format: 1, which is the default. */
  version?: 1
  /**
   * What a manager calls the machine: up to 63 letters, digits, `.`, `_` and `-`, the first a
   * letter or digit.
   */
  name?: string
  /** As in {@link VirtualMachineOptions}. */
  mode?: CpuMode
  /** As in {@link VirtualMachineOptions}. */
  privilege?: Privilege
  /** As in {@link VirtualMachineOptions}. */
  faults?: Faults
  /** As in {@link VirtualMachineOptions}. */
  memoryBytes?: DefinedNumber
  /** As in {@link VirtualMachineOptions}. */
  slots?: DefinedSlot[]
  /** As in {@link VirtualMachineOptions}. */
  vcpus?: number
  /** As in {@link VirtualMachineOptions}. */
  irqchip?: boolean
  /** As in {@link VirtualMachineOptions}. */
  serial?: boolean
  /** As in {@link VirtualMachineOptions}. */
  pc?: boolean
  /** As in {@link VirtualMachineOptions}. */
  screen?: DefinedScreen
  /** The guest program: an embedded one, or files. */
  payload: DefinedGuest | DefinedImage
  /** What answers which port and which address. */
  routes?: DefinedRoute[]
  /** Network cards. */
  disks?: DefinedDisk[]
  /** As in {@link VirtualMachineOptions}. */
  network?: DefinedCard[]
  /** As in {@link VirtualMachineOptions}. */
  ports?: string[]
  /**
   * An ES module for what is no data, such as devices: an absolute path, or one relative to the
   * base. Its default export is a {@link DefinitionModule}. **It is code**, which runs with all
   * rights of the process: take the definition of a stranger for a program of his.
   */
  module?: string
  /** Ignored here: what a manager keeps about the machine. */
  manager?: unknown
}

/**
 * The default export of a definition's module. What it gives is merged over what the definition
 * says: arrays are appended, every other key replaces the definition's.
 *
 * @category Definitions
 */
export type DefinitionModule = (
  definition: MachineDefinition,
) => Partial<VirtualMachineOptions> | PromiseLike<Partial<VirtualMachineOptions>>

/**
 * Options of {@link fromDefinition}.
 *
 * @category Definitions
 */
export interface DefinitionOptions {
  /**
   * What relative paths are relative to: a folder, by path or `file:` URL; of a file its folder, so
   * `import.meta.url` does. Default: the working directory.
   */
  base?: string | URL
}
