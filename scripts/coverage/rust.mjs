// Lines of crates/ that both suites reach: the core by its own tests and, through the addon, by the specs. cargo-llvm-cov
// says how cargo instruments and reads what was counted; it takes llvm-tools from rustup, or from LLVM_COV and LLVM_PROFDATA.
import { join } from 'node:path'
import { capture } from '../run.mjs'
import { findTool } from '../tools.mjs'

/** `{ tool, env }` with the environment in which cargo instruments, or `{ missing }`. */
export function instrument(cache) {
  const { path, missing } = findTool('cargo-llvm-cov')
  if (path === undefined) return { missing }
  const given = { ...process.env, CARGO_TARGET_DIR: join(cache, 'target') }
  const tool = [path, 'llvm-cov']
  const cleaned = capture([...tool, 'clean', '--workspace', '--profraw-only'], { env: given })
  const { ok, output } = capture([...tool, 'show-env', '--sh'], { env: given })
  if (!cleaned.ok || !ok) return { missing: (cleaned.ok ? output : cleaned.output).trim() }
  const shown = [...output.matchAll(/^export (\w+)='(.*)'$|^export (\w+)=(.*)$/gm)].map(
    ([, quoted, text, plain, word]) => [quoted ?? plain, text ?? word],
  )
  const env = { ...given, ...Object.fromEntries(shown) }
  // One file for all processes of a program: the specs start hundreds.
  env.LLVM_PROFILE_FILE = env.LLVM_PROFILE_FILE.replace('-%p', '')
  return { tool, env }
}

/** The addon's path, or undefined. */
export function buildAddon(cache, env) {
  const { ok, output } = cargo(env, 'build', '--package', 'vmexit-node')
  if (!ok) console.log(output)
  return ok ? join(cache, 'target', 'debug', 'libvmexit_node.so') : undefined
}

const cargo = (env, ...args) =>
  capture(['timeout', '--kill-after=30s', '10m', 'cargo', ...args], { env })

export function testRust(env) {
  const { output } = cargo(env, 'test', '--workspace', '--no-fail-fast')
  const count = (end) => [...output.matchAll(new RegExp(`^test .* ${end}$`, 'gm'))].length
  console.log(`Rust tests under coverage: ${count('ok')} passed, ${count('FAILED')} did not`)
}

/** A percentage, or why there is none. Unit tests count along: they stand in the files that they test. */
export function rustLines(tool, env) {
  // A process that was killed while it wrote leaves a file that counts for nothing.
  const report = [...tool, 'report', '--json', '--summary-only', '--failure-mode=all']
  const { ok, output } = capture(report, { env })
  if (!ok) return `not measured: ${output.trim()}`
  const { totals } = JSON.parse(output.slice(output.indexOf('{'))).data[0]
  return `${totals.lines.percent.toFixed(1)} % of lines`
}
