// @ts-check
import { execFileSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const pathOf = (/** @type {string} */ name) => fileURLToPath(new URL(name, import.meta.url))

const flags = [
  ...['-std=c11', '-O2', '-g', '-Wall', '-Wextra', '-Werror'],
  // For a machine without an operating system: nothing of a C library, and a fixed address.
  ...['-ffreestanding', '-nostdlib', '-static', '-fno-pic', '-no-pie', '-fno-stack-protector'],
  // An interrupt would write below the stack pointer, and some KVMs run no SSE in ring 0.
  ...['-mno-red-zone', '-mgeneral-regs-only', '-Wl,--build-id=none'],
]

/** Compiles the guest, and returns the path of the ELF image. */
export function build() {
  const [folder, script, image] = ['build/', 'guest/guest.ld', 'build/guest.elf'].map(pathOf)
  const sources = ['guest/start.S', 'guest/main.c'].map(pathOf)
  mkdirSync(folder, { recursive: true })
  const [compiler, ...more] = (process.env.CC || 'cc').split(' ')
  try {
    const args = [...more, ...flags, '-T', script, ...sources, '-o', image]
    execFileSync(compiler, args, { stdio: ['ignore', 'inherit', 'inherit'] })
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code !== 'ENOENT') throw error
    const remedy = 'apt install gcc, or set CC to another compiler'
    const what = `this project needs the C compiler ${compiler}, which is not there`
    throw new Error(`${what}: ${remedy}`, { cause: error })
  }
  return image
}
