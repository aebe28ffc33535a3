// Lines of crates/ that both suites reach: the core by its own tests and, through the addon, by the specs.
import { join, resolve } from 'node:path'
import { capture, root } from '../run.mjs'

const TARGET = 'x86_64-unknown-linux-gnu'

const outputOf = (...command) => capture(command).output.trim()

/** The tools that read what this compiler's LLVM writes: rustup's own, or those of the same major version. */
export function findTools() {
  const major = /^LLVM version: (\d+)/m.exec(outputOf('rustc', '-vV'))?.[1]
  const bundled = join(outputOf('rustc', '--print', 'target-libdir'), '..', 'bin')
  const pairs = [
    { profdata: join(bundled, 'llvm-profdata'), cov: join(bundled, 'llvm-cov') },
    { profdata: `llvm-profdata-${major}`, cov: `llvm-cov-${major}` },
    { profdata: 'llvm-profdata', cov: 'llvm-cov' },
  ]
  const tools = pairs.find(({ cov }) =>
    outputOf(cov, '--version').includes(`LLVM version ${major}.`),
  )
  const remedy = `rustup component add llvm-tools, or apt-get install llvm-${major}`
  return tools ? { tools } : { missing: `llvm-cov of LLVM ${major} not found: ${remedy}` }
}

const profileName = (profiles) => ({ LLVM_PROFILE_FILE: join(profiles, '%8m.profraw') })

/** With a target named, build scripts and macros are compiled without the flags. */
function cargo(cache, profiles, ...args) {
  const limit = ['timeout', '--kill-after=30s', '10m']
  const env = {
    ...process.env,
    ...profileName(profiles),
    RUSTFLAGS: '-Cinstrument-coverage',
    CARGO_TARGET_DIR: join(cache, 'target'),
  }
  return capture([...limit, 'cargo', ...args, '--target', TARGET], { env })
}

/** The addon and the environment that it wants, or why there is none. */
export function buildAddon(cache, profiles) {
  const { ok, output } = cargo(cache, profiles, 'build', '--package', 'vmexit-node')
  if (!ok) return { missing: `the instrumented addon could not be built:\n${output}` }
  return { addon: addonOf(cache), env: profileName(profiles) }
}

const addonOf = (cache) => join(cache, 'target', TARGET, 'debug', 'libvmexit_node.so')

/** Runs the tests of all crates and returns the paths of their programs. */
export function testRust(cache, profiles) {
  const { output } = cargo(cache, profiles, 'test', '--workspace', '--no-fail-fast')
  const count = (end) => [...output.matchAll(new RegExp(`^test .* ${end}$`, 'gm'))].length
  console.log(`Rust tests under coverage: ${count('ok')} passed, ${count('FAILED')} did not`)
  return [...output.matchAll(/^ *Running .* \((.*)\)$/gm)].map(([, path]) => resolve(root, path))
}

/** A percentage, or why there is none. Unit tests count along: they stand in the files that they test. */
export function rustLines(cache, profiles, { profdata, cov }, programs) {
  const merged = join(cache, 'rust.profdata')
  // A process that was killed while it wrote leaves a file that counts for nothing.
  const merge = capture([profdata, 'merge', '--failure-mode=all', '-o', merged, profiles])
  if (!merge.ok) return `not measured: ${merge.output.trim()}`
  const { ok, output } = capture([
    ...[cov, 'export', '--summary-only', '--instr-profile', merged],
    ...['--ignore-filename-regex', '/(registry|rustc|tests|target)/'],
    ...[addonOf(cache), ...programs.flatMap((path) => ['--object', path])],
  ])
  if (!ok) return `not measured: ${output.trim()}`
  const { totals } = JSON.parse(output.slice(output.indexOf('{'))).data[0]
  return `${totals.lines.percent.toFixed(1)} % of lines`
}
