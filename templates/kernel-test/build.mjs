// @ts-check
import { execFileSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const pathOf = (/** @type {string} */ name) => fileURLToPath(new URL(name, import.meta.url))

const flags = [
  // Multiboot enters a kernel in 32-bit protected mode.
  ...['-m32', '-std=c11', '-O1', '-g', '-Wall', '-Wextra', '-Werror'],
  // For a machine without an operating system: nothing of a C library, and a fixed address.
  ...['-ffreestanding', '-nostdlib', '-static', '-fno-pic', '-no-pie', '-fno-stack-protector'],
  // Some KVMs run no SSE in ring 0.
  ...['-mgeneral-regs-only', '-Wl,--build-id=none'],
]

/** Compiles the kernel, and returns the path of the ELF image. */
export function build() {
  const [folder, script, image] = ['build/', 'kernel/kernel.ld', 'build/kernel.elf'].map(pathOf)
  const files = ['boot.S', 'kernel.c', 'screen.c', 'serial.c']
  const sources = files.map((name) => pathOf(`kernel/${name}`))
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
