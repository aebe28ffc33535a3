// What the host builds, as the machine has no compiler: the addon and dist by the set-up, and the Rust test programs.
import { dirname, join } from 'node:path'
import { root } from '../run.mjs'
import { run } from './scope.mjs'

const SETUP_SECONDS = 900
const CARGO_SECONDS = 900
const CC_SECONDS = 60

/** Brings the addon and dist up to date. */
export async function setUp() {
  const command = [process.execPath, join(root, 'scripts', 'setup.mjs'), '--without-kvm']
  await run('set-up', command, { seconds: SETUP_SECONDS, show: true, cwd: root })
}

/** The benchmark's C baseline, put into `folder` as the benchmark's own cache; nothing where it cannot be compiled. */
export async function baseline(folder) {
  const compile = join(root, 'dist', 'bench', 'baseline', 'compile.js')
  const script = `(await import(${JSON.stringify(compile)})).compileRaw()`
  const command = [process.execPath, '--input-type=module', '--eval', `await ${script}`]
  const env = { ...process.env, CC: '', XDG_CACHE_HOME: folder }
  await run('compiling the baseline', command, { seconds: CC_SECONDS, env }).catch(() => {})
}

/** The Rust test programs, `folder` being where cargo would run each: `[{ name, path, folder }]`. */
export async function rustTests() {
  // The whole workspace, as npm test does: the same features, so nothing is compiled twice.
  const words = 'test --workspace --no-run --message-format=json-render-diagnostics'
  const command = ['cargo', ...words.split(' ')]
  const options = { seconds: CARGO_SECONDS, show: true, cwd: root }
  const text = await run('building the Rust tests', command, options)
  return text
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line))
    .filter(
      ({ reason, executable, profile }) =>
        reason === 'compiler-artifact' && executable && profile.test,
    )
    .map(({ target, executable, manifest_path: manifest }) => ({
      name: target.name,
      path: executable,
      folder: dirname(manifest),
    }))
}
