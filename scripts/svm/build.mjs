// What the host builds, as the machine has no compiler: the addon and dist by the set-up, and the Rust test programs.
import { dirname, join } from 'node:path'
import { root } from '../run.mjs'
import { run } from './scope.mjs'

const SETUP_SECONDS = 900
const CARGO_SECONDS = 900

/** Brings the addon and dist up to date. */
export async function setUp() {
  // Whether the host has /dev/kvm is of no interest here.
  const { VMEXIT_REQUIRE_KVM: _, ...env } = process.env
  const command = [process.execPath, join(root, 'scripts', 'setup.mjs')]
  await run('set-up', command, { seconds: SETUP_SECONDS, show: true, cwd: root, env })
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
