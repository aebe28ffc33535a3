// A linker and a C library of 2012, so that the binary starts on any glibc since: a plain build asks for this machine's.
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { must } from '../run.mjs'
import { cache } from './targets.mjs'

const PACKAGE = '@napi-rs/cross-toolchain-x64-target-x86_64'
const VERSION = '1.0.0'
const TRIPLE = 'x86_64-unknown-linux-gnu'

/** Where it lies below `.cache/package`. */
export const toolchainFolder = `toolchain-${VERSION}`

/**
 * The path of its gcc, for linking; 48 MB are downloaded the first time. `napi build --use-napi-cross` would fetch the
 * same by way of a package that does not run on Node.js 20, and unpack it into the home folder.
 */
export function oldLinker(say) {
  const folder = join(cache, toolchainFolder)
  const linker = join(folder, 'bin', `${TRIPLE}-gcc`)
  if (existsSync(linker)) return linker
  say(`downloading ${PACKAGE} (48 MB)`)
  const scratch = `${folder}.${process.pid}`
  const unpacked = join(scratch, 'unpacked')
  try {
    mkdirSync(unpacked, { recursive: true })
    must(['npm', 'pack', '--silent', `${PACKAGE}@${VERSION}`], { cwd: scratch })
    must(['sh', '-c', 'tar -xzf *.tgz'], { cwd: scratch })
    must(['tar', '-xJf', join('package', `${TRIPLE}.tar.xz`), '-C', unpacked], { cwd: scratch })
    rmSync(folder, { recursive: true, force: true })
    renameSync(unpacked, folder)
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
  return linker
}
