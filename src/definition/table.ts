import { guests } from '../options/guest.ts'
import { native } from '../native/native.ts'
import { plainKinds } from '../options/plain-routes.ts'
import { macPattern } from '../options/virtio/network.ts'
import { portExpected, portPattern } from '../options/virtio/ports.ts'
import { faults, formats, modes, privileges } from '../native/words.ts'
import type { EitherRule, NumberRule, ObjectRule, Rule, TextRule } from './rules.ts'
import type {
  DefinedCard,
  DefinedDisk,
  DefinedFile,
  DefinedImage,
  DefinedModule,
  DefinedRoute,
  DefinedSlot,
  MachineDefinition,
} from './types.ts'

const { maxSlots, maxRoutes, maxModules, maxDisks, maxFiles, maxCards, maxPorts } = native.limits()

/** A rule for every key of a type, and for no other. */
type KeysOf<T> = Record<T extends unknown ? keyof T : never, Rule>

const path = (about: string): TextRule => ({
  kind: 'text',
  about: `${about}: an absolute path, or one relative to the definition.`,
  expected: 'a path without NUL',
  pattern: /^[^\0]+$/,
})

const number = (about: string, most: bigint, least: 0 | 1 = 0): NumberRule => ({
  kind: 'number',
  about,
  least,
  most,
  text: true,
})

const lastGpa = 2n ** 52n - 1n

const slot = {
  gpa: number('First guest physical address, a multiple of 4096.', lastGpa),
  bytes: number('Size, a multiple of 4096.', lastGpa, 1),
  readOnly: { kind: 'flag', about: "The guest's writes exit. Default false." },
} satisfies KeysOf<DefinedSlot>

const module = {
  file: path('Its file'),
  string: { kind: 'text', about: 'The string that goes with it, default empty.' },
} satisfies KeysOf<DefinedModule>

const file = {
  name: {
    kind: 'text',
    expected: 'a name of up to 55 bytes',
    pattern: /^[^\0]{1,55}$/,
    about: 'The name by which firmware asks for it.',
  },
  file: path('Its file'),
} satisfies KeysOf<DefinedFile>

const payload = {
  guest: {
    kind: 'word',
    words: Object.values(guests)
      .map(({ name }) => name)
      .toSorted(),
    about: 'The name of an embedded guest program.',
  },
  file: path('The image'),
  format: { kind: 'word', words: formats, about: 'Default: what the content says.' },
  loadGpa: number("Guest physical address of a flat image's first byte, default 0.", lastGpa),
  entryGpa: number('Guest physical address of the first instruction.', lastGpa),
  cmdline: { kind: 'text', about: 'The command line, for all formats but flat and ELF.' },
  initrd: path('The initial RAM disk, for PVH and bzImage'),
  modules: {
    kind: 'list',
    most: maxModules,
    of: { kind: 'object', keys: module, required: ['file'], about: 'A multiboot module.' },
    about: 'For multiboot and multiboot 2.',
  },
  files: {
    kind: 'list',
    most: maxFiles,
    of: {
      kind: 'object',
      keys: file,
      required: ['name', 'file'],
      about: 'What firmware finds by name.',
    },
    about: 'For firmware, with pc.',
  },
} satisfies KeysOf<DefinedImage>

const route = {
  port: number('First I/O port.', 0xffffn),
  gpa: number('First guest physical address.', lastGpa),
  length: number('Ports or bytes, default 1.', 2n ** 32n, 1),
  to: {
    kind: 'word',
    words: Object.keys(plainKinds),
    about: 'Who answers. A module adds routes with functions.',
  },
  value: { ...number("What a constant's reads give.", 2n ** 64n - 1n), wide: true },
} satisfies KeysOf<DefinedRoute>

const disk = {
  file: path('An image without a header, or a block device'),
  readOnly: { kind: 'flag', about: 'The guest cannot write. Default false.' },
  volatile: { kind: 'flag', about: "The guest's writes stay in memory. Default false." },
} satisfies KeysOf<DefinedDisk>

const side = (about: string): NumberRule => ({
  kind: 'number',
  about,
  least: 1,
  most: 2n ** 32n - 1n,
  text: false,
})

const screen: EitherRule = {
  kind: 'either',
  word: { kind: 'word', words: ['text'], about: '80 columns and 25 lines of characters.' },
  object: {
    kind: 'object',
    keys: { width: side('Pixels of a row, 64 to 4096.'), height: side('Rows, 64 to 2160.') },
    required: ['width', 'height'],
    about: 'A framebuffer.',
  },
  about: 'What the guest is shown on; it needs pc. Default none.',
}
const card = {
  passt: { kind: 'word', words: [true], about: 'passt, run beside, connects it with the host.' },
  mac: {
    kind: 'text',
    expected: "six bytes in hexadecimal as '02:00:00:00:00:01'",
    pattern: macPattern,
    about: "The card's address. Default: a random one.",
  },
} satisfies KeysOf<DefinedCard>

const keys = {
  $schema: { kind: 'any', about: 'For editors; ignored.' },
  version: { kind: 'word', words: [1], about: 'The version of this format, default 1.' },
  name: {
    kind: 'text',
    expected: 'up to 63 letters, digits, ., _ and -, beginning with a letter or digit',
    pattern: /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/,
    about: 'What a manager calls the machine.',
  },
  mode: { kind: 'word', words: modes, about: 'The CPU mode of the first instruction.' },
  privilege: {
    kind: 'word',
    words: privileges,
    about: "The ring of the first instruction, default 'kernel'; 'user' needs mode 'long'.",
  },
  faults: {
    kind: 'word',
    words: faults,
    about:
      "What becomes of a fault that the guest does not handle: reason 'fault' or 'shutdown'. " +
      "Default 'report' for flat and ELF images with privilege 'user', else 'off'.",
  },
  memoryBytes: number(
    'Bytes of memory from address 0 on: a multiple of 4096, up to 3 GiB, default 2 MiB.',
    lastGpa,
    1,
  ),
  slots: {
    kind: 'list',
    most: maxSlots,
    of: { kind: 'object', keys: slot, required: ['gpa', 'bytes'] },
    about: 'Further memory.',
  },
  vcpus: {
    kind: 'number',
    least: 1,
    most: 2n ** 32n - 1n,
    text: false,
    about: 'Number of vCPUs, 1 to 64, default 1.',
  },
  irqchip: {
    kind: 'flag',
    about: 'Whether the kernel plays PIC, IOAPIC, local APICs and PIT. Default: as pc.',
  },
  serial: { kind: 'flag', about: 'Whether there is a serial port, COM1. Default: as pc.' },
  pc: { kind: 'flag', about: 'Whether the rest of a PC is there. Default false.' },
  screen,
  payload: {
    kind: 'object',
    keys: payload,
    either: ['guest', 'file'],
    beside: Object.fromEntries(
      Object.keys(payload)
        .filter((key) => key !== 'guest' && key !== 'file')
        .map((key) => [key, 'file']),
    ),
    about: 'The guest program: an embedded one, or files.',
  },
  routes: {
    kind: 'list',
    most: maxRoutes,
    of: {
      kind: 'object',
      keys: route,
      required: ['to'],
      either: ['port', 'gpa'],
      needed: { key: 'value', where: 'to', is: 'constant' },
    },
    about: 'Who answers which port and which address.',
  },
  disks: {
    kind: 'list',
    most: maxDisks,
    of: { kind: 'object', keys: disk, required: ['file'] },
    about: 'Disks. A module adds those that it answers.',
  },
  network: {
    kind: 'list',
    most: maxCards,
    of: { kind: 'object', keys: card, required: ['passt'] },
    about: 'Network cards. A module adds those with streams.',
  },
  ports: {
    kind: 'list',
    most: maxPorts,
    of: { kind: 'text', expected: portExpected, pattern: portPattern },
    about: 'Names of console ports beside the console, which is there with them.',
  },
  module: path('An ES module, which is code, for what is no data'),
  manager: { kind: 'any', about: 'What a manager keeps about the machine; ignored here.' },
} satisfies KeysOf<MachineDefinition>

/** A `MachineDefinition`. */
export const machineRule: ObjectRule = {
  kind: 'object',
  keys,
  required: ['payload'],
  about: 'What a virtual machine of vmexit is made of.',
}
