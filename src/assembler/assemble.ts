import {
  closeSync,
  fstatSync,
  mkdtempSync,
  openSync,
  readSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { fail, invalid } from '../native/errors.ts'
import { findProgram } from '../native/programs.ts'
import { checkKeys, checkObject, checkString, checkUint64 } from '../options/check.ts'
import { complaints } from './messages.ts'
import { type Ended, type Tool, ofCall, run, runSync } from './tool.ts'

/**
 * How a text becomes bytes.
 *
 * @category Assembling
 */
export interface AssembleOptions {
  /**
   * How many bits the code has at its beginning: 16 for mode `real`, 32 for `protected` and
   * `paged32`, 64 for `long`. `.code16`, `.code32` and `.code64` in the text change it from there.
   */
  bits: 16 | 32 | 64
  /**
   * The address that the first byte will have, which absolute addresses of labels count from;
   * default 0. For a machine that is the payload's `loadGpa`, 0x7c00 for a boot sector.
   */
  origin?: number | bigint
}

const MOST_TEXT = 1 << 24
const MOST_BYTES = 1 << 24
/** An object file has symbols and lines beside the bytes. */
const MOST_OBJECT = 4 * MOST_BYTES

/**
 * Machine code of a text in assembly language, by the system's `as` and `ld` (GNU binutils).
 *
 * The syntax is Intel's, without prefixes of registers; `.att_syntax prefix` in the text changes
 * it. Labels, data, macros and all directives of `as` can be used. `.org` counts from the beginning
 * of its section, so `.org 510` stands before a boot sector's signature. The bytes are the sections
 * one after the other, aligned as they ask for: `.text` first, then `.rodata`, `.data`, `.bss` as
 * zeros, and others. There are at most 16 MiB, and each program may take 10 s. What `as` only warns
 * of, such as a value that is cut off, is an error here. A constant stands before its use: of one
 * whose `.equ` comes later, `mov ax, size` would read memory, and `mov ax, offset size` does not.
 *
 * Never for a text that is not trusted: `.incbin` and `.include` read any file of the host. Their
 * paths are relative to the working directory.
 *
 * @throws {VmError} `ERR_INVALID_OPTION` for a text that does not assemble, with the messages of
 *   `as` and their lines; also if there is no `as`. `ERR_LIMIT` for too many bytes, `ERR_TIMEOUT`.
 * @example
 * ```ts
 * import { assemble, VirtualMachine } from 'vmexit'
 *
 * const image = await assemble("mov al, 'A' \n out 0xe9, al \n hlt", { bits: 16 })
 * const routes = [{ port: 0xe9, to: 'console' }] as const
 * using vm = new VirtualMachine({ mode: 'real', memoryBytes: 65536, payload: { image }, routes })
 * console.log(vm.runSync({ timeoutMs: 1000 }).outputText) // A
 * ```
 *
 * @category Assembling
 */
export async function assemble(text: string, options: AssembleOptions): Promise<Uint8Array> {
  const steps = assembly(text, options)
  try {
    let step = steps.next()
    while (!step.done) step = steps.next(await run(step.value))
    return step.value
  } finally {
    close(steps)
  }
}

/**
 * The same as {@link assemble}, and the event loop waits: about a hundredth of a second.
 *
 * @throws {VmError} As {@link assemble}.
 * @example
 * ```ts
 * import { assembleSync } from 'vmexit'
 *
 * const sector = assembleSync('jmp $\n .org 510\n .word 0xaa55', { bits: 16, origin: 0x7c00 })
 * console.log(sector.length) // 512
 * ```
 *
 * @category Assembling
 */
export function assembleSync(text: string, options: AssembleOptions): Uint8Array {
  const steps = assembly(text, options)
  try {
    let step = steps.next()
    while (!step.done) step = steps.next(runSync(step.value))
    return step.value
  } finally {
    close(steps)
  }
}

type Assembly = Generator<Tool, Uint8Array, Ended>

/** Lets an assembly that was left in the middle close its files. */
function close(steps: Assembly): void {
  steps.return(new Uint8Array())
}

/** Both programs, one after the other; the caller runs them. */
function* assembly(given: unknown, givenOptions: unknown): Assembly {
  const text = checkText(given)
  const { bits, origin } = checkOptions(givenOptions)
  const as = found('as')
  const ld = found('ld.bfd', 'ld')
  const files = namelessFiles([`.intel_syntax noprefix\n.code${bits}\n`, '', script(origin), ''])
  // As the programs see them: what we give follows stdin, stdout and stderr.
  const [start, object, layout, image] = [3, 4, 5, 6].map((fd) => `/proc/self/fd/${fd}`) as Four
  try {
    // With -g ld knows lines. Always 64 bits: only such an object may hold code of each width.
    const flags = ['--64', '-g', '--fatal-warnings']
    check(
      yield {
        program: as,
        name: 'as',
        args: [...flags, '-o', object, start, '-'],
        // One that does not end its last line is warned of.
        stdin: text.endsWith('\n') ? text : `${text}\n`,
        files,
        fileBytes: MOST_OBJECT,
      },
    )
    const quiet = ['--build-id=none', '-z', 'noexecstack']
    const form = ['-m', 'elf_x86_64', '--oformat', 'binary', '-T', layout]
    check(
      yield {
        program: ld,
        name: 'ld',
        args: [...form, ...quiet, '-o', image, object],
        stdin: '',
        files,
        fileBytes: MOST_BYTES,
      },
    )
    return content(files[3])
  } finally {
    for (const file of files) closeSync(file)
  }
}

type Four = [string, string, string, string]

/**
 * Where sections lie. `.bss` stands among data, so it is written as zeros, and what `-g` adds is
 * left out.
 */
function script(origin: bigint): string {
  const at = `0x${origin.toString(16)}`
  return `SECTIONS {
  /DISCARD/ : { *(.debug* .note.gnu.* .comment) }
  . = ${at};
  .text : { *(.text .text.*) }
  .data : { *(.rodata .rodata.*) *(.data .data.*) *(.bss .bss.* COMMON) *(*) }
}
ASSERT(ADDR(.text) == ${at}, "origin ${at} must be a multiple of the largest .align in .text")
`
}

/**
 * Open files with these contents. Their folder is gone before a program sees them by descriptor:
 * however this ends, nothing is left.
 */
function namelessFiles(contents: Four): [number, number, number, number] {
  const files: number[] = []
  let folder: string | undefined
  try {
    folder = mkdtempSync(join(tmpdir(), 'vmexit-assemble-'))
    for (const [index, text] of contents.entries()) {
      const path = join(folder, String(index))
      writeFileSync(path, text, { mode: 0o600 })
      files.push(openSync(path, 'r+'))
    }
    return files as [number, number, number, number]
  } catch (error) {
    for (const file of files) closeSync(file)
    const why = (error as Error).message
    return fail(
      'ERR_KVM_IOCTL',
      `no temporary files in ${tmpdir()}: ${why}`,
      ofCall(error as Error),
    )
  } finally {
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true })
  }
}

function content(file: number): Uint8Array {
  const bytes = new Uint8Array(checkSize(fstatSync(file).size))
  let length = 0
  while (length < bytes.length) {
    const count = readSync(file, bytes, length, bytes.length - length, length)
    if (count === 0) break
    length += count
  }
  return bytes
}

function check({ status, signal, said }: Ended): void {
  if (status === 0) return
  if (signal === 'SIGXFSZ') tooLarge()
  const why = complaints(said) || ` it ended with ${signal ?? status}`
  fail('ERR_INVALID_OPTION', `text does not assemble:${why}`)
}

const checkSize = (size: number): number => (size <= MOST_BYTES ? size : tooLarge())

function tooLarge(): never {
  return fail('ERR_LIMIT', `text: at most ${MOST_BYTES} bytes come of it, got more`)
}

function checkText(value: unknown): string {
  const text = checkString('text', value)
  if (text.includes('\0')) return invalid('text', 'a text without NUL', text)
  return text.length <= MOST_TEXT
    ? text
    : fail('ERR_LIMIT', `text: at most ${MOST_TEXT} characters, got ${text.length}`)
}

function checkOptions(value: unknown): { bits: 16 | 32 | 64; origin: bigint } {
  const options = checkObject('options', value)
  checkKeys('options', options, ['bits', 'origin'])
  const { bits, origin = 0 } = options
  if (bits !== 16 && bits !== 32 && bits !== 64) return invalid('bits', '16, 32 or 64', bits)
  return { bits, origin: checkUint64('origin', origin, true) }
}

function found(...names: [string, ...string[]]): string {
  const what = `assemble needs the program ${names.at(-1)}, which is not on PATH`
  const path = findProgram(...names)
  return path ?? fail('ERR_INVALID_OPTION', `${what}; apt install binutils, or the like`)
}
