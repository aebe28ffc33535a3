import { make } from './dom.ts'

/** A definition that is being written. */
export type Definition = Record<string, unknown>

/** What stands for a key of the definition in the form. */
export type Control = HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement

/** A field of the form, and how it reads and writes a definition. */
export interface Field {
  readonly label: string
  /** The path of its key, by which messages name it. */
  readonly key: string
  readonly make: () => Control
  readonly read: (definition: Definition) => string | boolean
  readonly write: (definition: Definition, value: string | boolean) => void
}

const MIB = 1024 * 1024

/** The value of a path. */
function at(definition: Definition, path: string): unknown {
  let value: unknown = definition
  for (const key of path.split('.'))
    value =
      typeof value === 'object' && value !== null && Object.hasOwn(value, key)
        ? (value as Definition)[key]
        : undefined
  return value
}

/** Sets the value of a path, or takes it away, with objects on the way that it leaves empty. */
function put(definition: Definition, path: string, value: unknown): void {
  const [key = '', ...rest] = path.split('.')
  if (rest.length === 0) {
    if (value === undefined || value === '' || value === false) delete definition[key]
    else definition[key] = value
    return
  }
  const inner = definition[key]
  const object: Definition =
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? { ...(inner as Definition) }
      : {}
  put(object, rest.join('.'), value)
  if (Object.keys(object).length === 0) delete definition[key]
  else definition[key] = object
}

const input = (attributes: Record<string, string>) => (): HTMLInputElement =>
  make('input', { attributes })

/** A line of text as it is. */
const text = (label: string, key: string, attributes: Record<string, string> = {}): Field => ({
  label,
  key,
  make: input({ type: 'text', ...attributes }),
  read: (definition) => {
    const value = at(definition, key)
    return typeof value === 'string' ? value : ''
  },
  write: (definition, value) => put(definition, key, value),
})

/** A whole number of a unit. What is none is written as it is, for the daemon to refuse. */
const number = (label: string, key: string, unit = 1): Field => ({
  label,
  key,
  make: input({ type: 'text', inputmode: 'numeric' }),
  read: (definition) => {
    const value = at(definition, key)
    return value === undefined ? '' : String(typeof value === 'number' ? value / unit : value)
  },
  write: (definition, value) =>
    put(definition, key, /^\d+$/.test(String(value)) ? Number(value) * unit : value),
})

/** A yes. */
const flag = (label: string, key: string): Field => ({
  label,
  key,
  make: input({ type: 'checkbox' }),
  read: (definition) => at(definition, key) === true,
  write: (definition, value) => put(definition, key, value),
})

/** One of some words; what is not one of them is a choice of its own, as JSON. */
const choice = (
  label: string,
  key: string,
  words: Readonly<Record<string, unknown>>,
  none: string,
): Field => ({
  label,
  key,
  make: () =>
    make(
      'select',
      {},
      make('option', { text: none, attributes: { value: '' } }),
      ...Object.keys(words).map((word) => make('option', { text: word })),
    ),
  read: (definition) => {
    const value = JSON.stringify(at(definition, key))
    if (value === undefined) return ''
    return Object.keys(words).find((word) => JSON.stringify(words[word]) === value) ?? value
  },
  write: (definition, value) => {
    const word = String(value)
    put(definition, key, Object.hasOwn(words, word) ? words[word] : word && JSON.parse(word))
  },
})

const same = (...words: readonly string[]): Record<string, string> =>
  Object.fromEntries(words.map((word) => [word, word]))

interface Disk {
  readonly file?: unknown
}

/** Disks by their files, one a line; what else is said of a disk stays. */
const disks: Field = {
  label: 'Disks (absolute paths, one a line)',
  key: 'disks',
  make: () => make('textarea', { class: 'lines', attributes: { rows: '2', spellcheck: 'false' } }),
  read: (definition) => {
    const found = at(definition, 'disks')
    return Array.isArray(found) ? found.map(({ file }: Disk) => String(file)).join('\n') : ''
  },
  write: (definition, value) => {
    const known = at(definition, 'disks')
    const before: readonly Disk[] = Array.isArray(known) ? known : []
    const files = String(value)
      .split('\n')
      .map((line) => line.trim())
      .filter((line) => line !== '')
    const wanted = files.map((file) => before.find((disk) => disk.file === file) ?? { file })
    put(definition, 'disks', wanted.length === 0 ? undefined : wanted)
  },
}

const screens = {
  text: 'text',
  '640 × 480': { width: 640, height: 480 },
  '800 × 600': { width: 800, height: 600 },
  '1024 × 768': { width: 1024, height: 768 },
}

/** The fields of the form; what they do not show is in the JSON. */
export const fields: readonly Field[] = [
  text('Name', 'name', { required: '', autocomplete: 'off' }),
  choice('Mode', 'mode', same('real', 'protected', 'paged32', 'long'), 'by the image'),
  text('Image (absolute path)', 'payload.file'),
  choice(
    'Format',
    'payload.format',
    same('bzimage', 'pvh', 'elf', 'multiboot', 'multiboot2', 'flat', 'firmware'),
    'by its content',
  ),
  text('Command line', 'payload.cmdline'),
  text('Initial RAM disk (absolute path)', 'payload.initrd'),
  number('Memory (MiB)', 'memoryBytes', MIB),
  number('vCPUs', 'vcpus'),
  disks,
  choice('Screen', 'screen', screens, 'none'),
  choice('Network', 'network', { passt: [{ passt: true }] }, 'none'),
  text('Group (shares a process)', 'manager.group'),
  choice('Restart', 'manager.restart', same('on-failure', 'always'), 'no'),
  flag('The devices of a PC', 'pc'),
  flag('Starts with the daemon', 'manager.autostart'),
]
