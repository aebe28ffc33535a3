// What building for musl takes beside Rust's target: no C library of its own, as the process that loads the binary has one.
import { copyFileSync, existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { must } from '../run.mjs'
import { cache, musl } from './targets.mjs'

/** What Rust brings for the target: start files and an unwinder. */
function selfContained() {
  const sysroot = must(['rustc', '--print', 'sysroot']).trim()
  const folder = join(sysroot, 'lib', 'rustlib', musl.triple, 'lib', 'self-contained')
  if (!existsSync(folder)) throw new Error(`run \`rustup target add ${musl.triple}\``)
  return folder
}

/**
 * Libraries to link against, by the names that rustc gives the linker: an empty `libc.so`, under which musl knows itself,
 * and Rust's unwinder for libgcc_s, which an Alpine Linux need not have.
 */
function libraries() {
  const folder = join(cache, 'musl-libraries')
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  const libc = join(folder, 'libc.so')
  const empty = ['-shared', '-nostdlib', '-x', 'c', '/dev/null']
  must(['cc', ...empty, '-Wl,-soname,libc.so', '-o', libc])
  copyFileSync(join(selfContained(), 'libunwind.a'), join(folder, 'libunwind.a'))
  writeFileSync(join(folder, 'libgcc_s.so'), 'INPUT(-l:libunwind.a)\n')
  // musl has all in one.
  writeFileSync(join(folder, 'libdl.so'), 'INPUT(-l:libc.so)\n')
  return folder
}

/** For rustc: musl stays outside, and nothing of this machine's C library comes in. */
export const muslFlags = () => [
  '-Ctarget-feature=-crt-static',
  '-Clink-self-contained=yes',
  '-Clink-arg=-nostdlib',
  `-Lnative=${libraries()}`,
  // Nothing is found in it, and it is to be named all the same.
  '-Clink-arg=-Wl,--no-as-needed,-l:libc.so',
]
