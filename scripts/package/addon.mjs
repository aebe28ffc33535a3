// The binaries of a release.
import { copyFileSync, mkdirSync, rmSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { must, root } from '../run.mjs'
import { muslFlags } from './musl.mjs'
import { artifacts, binaryName, cache, musl, targets } from './targets.mjs'
import { oldLinker } from './downloads.mjs'

/** Builds every target into the artifacts; cargo does nothing where nothing changed. */
export function buildAddons(say) {
  for (const target of targets) build(target, say)
}

function build(target, say) {
  const env = target === musl ? environment(muslFlags()) : oldEnvironment(oldLinker(say))
  say(`building ${binaryName(target)}`)
  const out = join(cache, 'build')
  rmSync(out, { recursive: true, force: true })
  must(
    [
      ...['node_modules/.bin/napi', 'build', '--release', '--strip', '--platform', '--no-js'],
      ...['--target', target.triple, '--manifest-path', 'crates/node/Cargo.toml'],
      // A folder of its own: another linker would have cargo build everything again, here and in the next plain build.
      ...['--target-dir', join(root, 'target', 'package'), '--output-dir', out],
      ...['--', '--locked'],
    ],
    { env },
  )
  mkdirSync(artifacts, { recursive: true })
  copyFileSync(join(out, binaryName(target)), join(artifacts, binaryName(target)))
}

function environment(flags) {
  const cargoHome = process.env.CARGO_HOME ?? join(homedir(), '.cargo')
  // Panic messages name source files, ours as seen from the workspace; the others lie in a home directory, whose name does not belong there.
  const remap = `--remap-path-prefix=${join(cargoHome, 'registry', 'src')}=crates`
  return { ...process.env, CARGO_ENCODED_RUSTFLAGS: [remap, ...flags].join('\u001F') }
}

const oldEnvironment = (linker) => ({
  ...environment([]),
  CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_LINKER: linker,
})
