// Images of every format, changed anywhere, up to 16 MiB big. Each is loaded or refused, within a second of the processor's time.
import { createHash } from 'node:crypto'
import { VirtualMachine, VmError } from '../../dist/index.js'
import { LOAD_GPA, PT_LOAD, PT_NOTE, buildImage } from './shapes.mjs'

const REFUSALS = new Set(['ERR_PAYLOAD', 'ERR_LIMIT', 'ERR_INVALID_OPTION'])
const BOUND_MS = 1000
/** Or as long as so many hashes over as many bytes as the largest image has, where a processor is emulated and has little of another. */
const BOUND_HASHES = 20
const MOST_BYTES = 16 << 20

const FORMATS = [
  'elf32',
  'elf64',
  'elf64',
  'multiboot',
  'multiboot-elf',
  'pvh',
  'pvh',
  'bzimage',
  'flat',
]
const NAMES = ['flat', 'elf', 'multiboot', 'pvh', 'bzimage']
/** What stands where nothing else does: zeros are empty notes, the others notes with names or without. */
const FILLS = [
  'f4',
  '00',
  '00',
  '000000000400000012000000',
  '04000000040000001200000058656e0000001000',
  'ff',
]

const MODULE = { image: Uint8Array.of(1, 2), string: 'module' }

/** Mostly small, so that many are tried; now and then as big as is promised. */
function size(random) {
  if (random.oneIn(5)) return random.oneIn(2) ? MOST_BYTES : random.below(MOST_BYTES)
  return random.pick([random.below(4096), random.below(0x1_0000)])
}

function header(random, bytes) {
  const length = () => random.pick([0, 12, 64, bytes, random.below(bytes + 1), random.integer()])
  const filesz = length()
  return {
    type: random.pick([
      PT_LOAD,
      PT_LOAD,
      PT_LOAD,
      PT_NOTE,
      PT_NOTE,
      3,
      random.below(8),
      random.integer(),
    ]),
    at: random.oneIn(3) ? random.below(bytes + 1) : 0,
    absolute: random.oneIn(4),
    gpa: random.pick([LOAD_GPA, LOAD_GPA, 0, 0x20_0000, random.below(1 << 26), random.integer()]),
    filesz,
    memsz: random.oneIn(2) ? filesz : length(),
    align: random.pick([0, 1, 4, 8, 4096, random.integer()]),
    repeat: random.oneIn(4) ? random.pick([2, 127, 254, 255, 256, 1000, 65_535]) : 1,
  }
}

/** One that any loader accepts, but may have work with: what is not loaded may overlap, and be as big as the image. */
function tameHeader(random, bytes) {
  return {
    type: random.pick([PT_NOTE, PT_NOTE, 2, 6]),
    filesz: random.pick([
      bytes >>> 1,
      Math.max(bytes - 0x1_0000, 0),
      Math.max(bytes - 0x1_0000, 0),
      64,
    ]),
    align: random.pick([0, 4, 8]),
    repeat: random.pick([1, 2, 100, 253]),
  }
}

/** Either anything, or a segment to load and then what is tame; a big image is to be read on, not refused. */
function headers(random, bytes) {
  if (random.oneIn(bytes > 1 << 20 ? 4 : 2))
    return random.several(random.between(1, 4), () => header(random, bytes))
  return [{}, ...random.several(random.between(1, 2), () => tameHeader(random, bytes))]
}

function patch(random, format) {
  const at =
    format === 'bzimage' ? random.between(0x1f0, 0x270) : random.below(random.pick([52, 128, 512]))
  const field = random.pick([1, 2, 4, 8])
  const value = random.oneIn(2)
    ? random.hex(field)
    : random.pick(['00', 'ff', '7f', '01']).repeat(field)
  return [at, value]
}

/** An image and what goes with it, as plain JSON. */
export function generate(random) {
  const format = random.pick(FORMATS)
  const bytes = size(random)
  const shape = {
    format,
    bytes,
    fill: random.pick(FILLS),
    ...(format === 'pvh' && { bits: random.pick([32, 64]) }),
    ...(random.oneIn(2) && { headers: headers(random, bytes) }),
    ...(random.oneIn(4) && { entry: random.integer() }),
    ...(random.oneIn(2) && { flags: random.oneIn(2) ? random.below(8) : random.integer() }),
    ...(format === 'bzimage' && random.oneIn(2) && { setupSectors: random.below(256) }),
    ...(random.oneIn(bytes > 1 << 20 ? 6 : 2) && {
      patches: random.several(random.between(1, 4), () => patch(random, format)),
    }),
    ...(random.oneIn(8) && { cut: random.below(bytes + 64) }),
  }
  return {
    shape,
    ...(random.oneIn(3) && { named: random.pick(NAMES) }),
    ...(random.oneIn(3) && { cmdline: 'x'.repeat(random.pick([0, 5, 2047, 4096, 70_000])) }),
    ...(random.oneIn(4) && { initrdBytes: random.pick([1, 4096, MOST_BYTES]) }),
    ...(random.oneIn(4) && { modules: random.pick([1, 2, 300]) }),
    ...(random.oneIn(3) && { mode: random.pick(['real', 'protected', 'long']) }),
    memoryBytes: random.pick([0x1_0000, 0x20_0000, 1 << 26, 1 << 28]),
    pc: random.oneIn(8),
  }
}

/** The machine, or undefined when the image is refused as it should be. */
function make({ named, cmdline, initrdBytes, modules, mode, memoryBytes, pc }, image) {
  const payload = {
    image,
    ...(named && { format: named }),
    ...(cmdline && { cmdline }),
    ...(initrdBytes && { initrd: new Uint8Array(initrdBytes) }),
    ...(modules && {
      modules: Array.from({ length: modules }, () => MODULE),
    }),
  }
  try {
    return new VirtualMachine({ ...(mode && { mode }), memoryBytes, pc, payload })
  } catch (error) {
    if (error instanceof VmError && REFUSALS.has(error.code)) return undefined
    throw error
  }
}

/** Milliseconds of the processor's that a call takes, and what it returns. */
function timed(call) {
  const before = process.cpuUsage()
  const result = call()
  const { user, system } = process.cpuUsage(before)
  return [(user + system) / 1000, result]
}

function isTooLong(tookMs) {
  if (tookMs <= BOUND_MS) return false
  const bytes = new Uint8Array(MOST_BYTES)
  const [hashMs] = timed(() => createHash('sha256').update(bytes).digest())
  return tookMs > BOUND_HASHES * hashMs
}

/** Loads the image and runs it for a moment; throws when something is wrong. */
export function execute(task) {
  const image = buildImage(task.shape)
  const [tookMs, vm] = timed(() => make(task, image))
  try {
    if (isTooLong(tookMs)) throw new Error(`${image.length} bytes took ${tookMs.toFixed(0)} ms`)
    vm?.runSync({ timeoutMs: 0.5 })
  } finally {
    vm?.close()
  }
}
