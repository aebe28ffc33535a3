// Debian packages, downloaded and unpacked without being installed: apt with lists and downloads
// of its own in `folder`, which needs no privilege and leaves the host's lists as they are.
import { mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { run } from './run.mjs'

const SECONDS = 300

/** Asks apt, with `settings` beside those that keep it in `folder`. */
export async function apt(folder, words, settings = []) {
  for (const name of ['lists/partial', 'cache/archives/partial']) {
    mkdirSync(join(folder, name), { recursive: true })
  }
  const own = [
    ...[`Dir::State::Lists=${folder}/lists`, `Dir::Cache=${folder}/cache`, ...settings],
    // Where root runs it, apt would drop to a user who cannot reach this folder, and warn.
    ...['Debug::NoLocking=1', 'APT::Sandbox::User=root', 'APT::Update::Error-Mode=any'],
  ].flatMap((setting) => ['-o', setting])
  const [command, ...args] = words
  const env = { ...process.env, LC_ALL: 'C' }
  return run([command, ...own, ...args], { seconds: SECONDS, cwd: folder, env })
}

/** Downloads `names` and unpacks all of them into one tree, which it returns. */
export async function unpack(folder, names, settings) {
  await apt(folder, ['apt-get', '-qq', 'download', ...names], settings)
  const tree = join(folder, 'tree')
  for (const file of readdirSync(folder).filter((name) => name.endsWith('.deb'))) {
    await run(['dpkg-deb', '--extract', join(folder, file), tree], { seconds: SECONDS })
  }
  return tree
}
