// Lines of crates/ that both suites reach: the core by its own tests and, through the addon, by the specs. cargo-llvm-cov
// says how cargo instruments and reads what was counted; it takes llvm-tools from rustup, or from LLVM_COV and LLVM_PROFDATA.
import { join } from 'node:path'
import { parseEnv } from 'node:util'
import { Failure, capture, must } from '../run.mjs'
import { findTool } from '../tools.mjs'

const LIMIT = ['timeout', '--kill-after=30s', '10m']

/** What instruments cargo and reads the counts, as `{ addon, counts, test, lines }`; throws where it cannot be had. */
export function instrument(cache) {
  const { path, missing } = findTool('cargo-llvm-cov')
  if (path === undefined) throw new Failure(missing)
  const given = { ...process.env, CARGO_TARGET_DIR: join(cache, 'target') }
  must([path, 'llvm-cov', 'clean', '--workspace', '--profraw-only'], { env: given })
  const shown = must([path, 'llvm-cov', 'show-env', '--sh'], { env: given })
  // A remark before them would become part of the first name.
  const exported = shown.split('\n').filter((line) => line.startsWith('export '))
  const env = { ...given, ...parseEnv(exported.join('\n')) }
  // One file for all processes of a program: the specs start hundreds.
  env.LLVM_PROFILE_FILE = env.LLVM_PROFILE_FILE.replace('-%p', '')
  must([...LIMIT, 'cargo', 'build', '--package', 'vmexit-node'], { env })
  return {
    addon: join(cache, 'target', 'debug', 'libvmexit_node.so'),
    counts: { LLVM_PROFILE_FILE: env.LLVM_PROFILE_FILE },
    test() {
      const words = ['cargo', 'test', '--workspace', '--no-fail-fast']
      const { output } = capture([...LIMIT, ...words], { env })
      const count = (end) => [...output.matchAll(new RegExp(`^test .* ${end}$`, 'gm'))].length
      console.log(`Rust tests under coverage: ${count('ok')} passed, ${count('FAILED')} did not`)
    },
    /** A percentage. Unit tests count along: they stand in the files that they test. */
    lines() {
      // A process that was killed while it wrote leaves a file that counts for nothing.
      const report = ['report', '--json', '--summary-only', '--failure-mode=all']
      const output = must([path, 'llvm-cov', ...report], { env })
      return JSON.parse(output.slice(output.indexOf('{'))).data[0].totals.lines.percent
    },
  }
}
