// @ts-check
import { execFileSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const pathOf = (/** @type {string} */ name) => fileURLToPath(new URL(name, import.meta.url))

/** The folder of `vmexit.h`, which comes with the package. */
const include = fileURLToPath(new URL('guest/include', import.meta.resolve('vmexit/package.json')))

/** Compiles the library, and returns its path: a static program, which waits to be called. */
export function build() {
  const [folder, source, image] = ['build/', 'library/text.c', 'build/text.elf'].map(pathOf)
  mkdirSync(folder, { recursive: true })
  const flags = [
    '-std=gnu11',
    '-O2',
    '-g',
    '-Wall',
    '-Wextra',
    '-Werror',
    '-static',
    `-I${include}`,
  ]
  const [compiler, ...more] = (process.env.CC || 'cc').split(' ')
  try {
    const args = [...more, ...flags, source, '-o', image]
    execFileSync(compiler, args, { stdio: ['ignore', 'inherit', 'inherit'] })
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code !== 'ENOENT') throw error
    const remedy = 'apt install gcc libc6-dev, or set CC to another compiler'
    const what = `this project needs the C compiler ${compiler}, which is not there`
    throw new Error(`${what}: ${remedy}`, { cause: error })
  }
  return image
}
