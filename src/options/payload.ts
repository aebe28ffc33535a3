import {
  checkArray,
  checkBytes,
  checkInteger,
  checkObject,
  checkString,
  checkWord,
  steady,
} from './check.ts'
import { Guest } from './guest.ts'
import { fail } from '../native/errors.ts'
import { native } from '../native/native.ts'
import type { NativeFile, NativeModule, NativePayload } from '../native/seam.ts'
import { formats } from '../native/words.ts'
import { checkShape, optional, otherwise, required } from './shape.ts'

/**
 * A module of a multiboot image.
 *
 * @category Machine
 */
export interface Module
  extends Pick<NativeModule, 'image'>, Partial<Pick<NativeModule, 'string'>> {}

/**
 * A guest program of your own, entered with the registers that `guest/README.md` lists, or that the
 * format's boot protocol says.
 *
 * @example
 * ```ts
 * const image = Uint8Array.of(0xb8, 0x2a, 0x00, 0xf4) // mov ax, 42; hlt
 * using vm = new VirtualMachine({ mode: 'real', payload: { image, loadGpa: 0x7c00 } })
 * vm.runSync()
 * console.log(vm.registers().rax) // 42n
 * ```
 *
 * @category Machine
 */
export interface Image extends Partial<
  Omit<NativePayload, 'files' | 'guest' | 'image' | 'modules'>
> {
  /** The bytes, at least one. They are copied. */
  image: Uint8Array
  /** For multiboot and multiboot 2. */
  modules?: readonly Module[]
  /**
   * For firmware, with `pc: true`: what it finds by name in its configuration device, as
   * `'vgaroms/vgabios.bin'`. Up to 56 files of up to 16 MiB in all, names of up to 55 bytes.
   */
  files?: Readonly<Record<string, Uint8Array>>
}

const maxGpa = 2 ** 52 - 1
const { maxModules, maxFiles } = native.limits()
const gpa = (name: string, value: unknown): number => checkInteger(name, value, 0, maxGpa)

const moduleShape = { image: required(checkImage), string: otherwise('', checkString) }

const payloadShape = {
  image: required(checkImage),
  format: optional((name, value) => checkWord(name, value, formats)),
  loadGpa: otherwise(0, gpa),
  entryGpa: optional(gpa),
  cmdline: optional(checkString),
  initrd: optional(checkImage),
  modules: otherwise<NativeModule[]>([], (name, value) =>
    checkArray(name, value, maxModules, (item, at) => checkShape(at, item, moduleShape)),
  ),
  files: { check: checkFiles, isOptional: false as const, otherwise: () => ({}) },
}

/** Checks the shape of a guest program. */
export function checkPayload(name: string, value: unknown): NativePayload {
  if (Guest.is(value)) return { guest: value.name, loadGpa: 0, modules: [], files: [] }
  return checkShape(name, value, payloadShape)
}

/** Each name is read once. */
function checkFiles(name: string, value: unknown): NativeFile[] {
  const entries = Object.entries(checkObject(name, value))
  if (entries.length > maxFiles)
    return fail('ERR_LIMIT', `${name}: at most ${maxFiles}, got ${entries.length}`)
  return entries.map(([file, bytes]) => ({
    name: file,
    bytes: checkImage(`${name}['${file}']`, bytes),
  }))
}

/** The native side reads the bytes where they are. */
function checkImage(name: string, value: unknown): Uint8Array {
  return steady(checkBytes(name, value))
}
