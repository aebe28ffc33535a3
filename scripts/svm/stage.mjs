// The machine's disk: the project at its own path, node, and every shared library that either loads.
import {
  chmodSync,
  copyFileSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  realpathSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { root } from '../run.mjs'
import { findCommand } from './fetch.mjs'
import { addLinux } from './linux.mjs'
import { Failure, run } from './scope.mjs'

const LEFT_OUT = new Set(['.git', '.cache', 'target', 'node_modules'])
// ava comes bundled. The others are build and lint tools: half of node_modules, and nothing inside builds or lints.
const PACKAGES_LEFT_OUT = new Set([
  'ava',
  '@napi-rs',
  '@octokit',
  '@oxfmt',
  '@oxlint',
  '@rolldown',
  'es-toolkit',
  'oxfmt',
  'oxlint',
  'rolldown',
])

const LDD_SECONDS = 30
const MKFS_SECONDS = 120
const BLOCK_BYTES = 4096

/** A tree under construction that counts what it will take on the disk. */
class Stage {
  constructor(directory) {
    this.directory = directory
    this.bytes = 0
    this.files = 0
    this.loaders = []
    for (const path of [
      'usr/bin',
      'usr/lib',
      'usr/lib64',
      'etc',
      'dev',
      'proc',
      'sys',
      'tmp',
      'run',
      'root',
    ]) {
      mkdirSync(join(directory, path), { recursive: true })
    }
    for (const name of ['bin', 'lib', 'lib64']) symlinkSync(`usr/${name}`, join(directory, name))
    symlinkSync('usr/bin', join(directory, 'sbin'))
  }

  place(path) {
    const target = join(this.directory, path)
    mkdirSync(dirname(target), { recursive: true })
    this.files += 1
    return target
  }

  /** A file of the host, at its own path or at `path`. */
  add(source, path = source) {
    const stat = lstatSync(source)
    const target = this.place(path)
    if (stat.isSymbolicLink()) return symlinkSync(readlinkSync(source), target)
    this.bytes += Math.ceil(stat.size / BLOCK_BYTES) * BLOCK_BYTES
    try {
      linkSync(source, target)
    } catch (error) {
      if (error.code === 'EEXIST') return undefined
      // Another file system, or a file of another user.
      copyFileSync(source, target)
      chmodSync(target, stat.mode)
    }
    return undefined
  }

  write(path, data) {
    const target = this.place(path)
    this.bytes += Math.ceil(data.length / BLOCK_BYTES) * BLOCK_BYTES
    writeFileSync(target, data, { mode: 0o755 })
  }

  link(target, path) {
    symlinkSync(target, this.place(path))
  }

  /** A folder at its own path, or at `at`, without the entries at its top that `leftOut` names. */
  addTree(folder, { leftOut = new Set(), at = folder } = {}) {
    this.place(join(at, '.'))
    mkdirSync(join(this.directory, at), { recursive: true })
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      const [path, target] = [join(folder, entry.name), join(at, entry.name)]
      if (leftOut.has(entry.name)) continue
      if (entry.isDirectory()) this.addTree(path, { at: target })
      else if (entry.isFile() || entry.isSymbolicLink()) this.add(path, target)
      if (entry.name.endsWith('.node')) this.loaders.push(path)
    }
  }
}

/** Every shared library that these files load, the loader itself included. */
async function libraries(files, env) {
  const found = new Set()
  for (const path of files) {
    // One by one: ldd fails for a static file, which needs nothing.
    const text = await run('ldd', ['ldd', path], { seconds: LDD_SECONDS, env }).catch((error) => {
      if (error.message.includes('not a dynamic executable')) return ''
      throw error
    })
    const missing = text.match(/(\S+) => not found/)?.[1]
    if (missing) throw new Failure(`${path} needs ${missing}, which this host does not have`)
    for (const [, library] of text.matchAll(/(?:=>|^)\s*(\/\S+) \(0x/gm)) found.add(library)
  }
  return found
}

/** busybox under every name it answers to, and the few files that programs expect to find. */
async function addSystem(stage, busybox) {
  stage.add(busybox, 'usr/bin/busybox')
  const names = await run('busybox', [busybox, '--list'], { seconds: LDD_SECONDS })
  for (const name of names.trim().split('\n')) {
    if (name !== 'busybox') stage.link('busybox', `usr/bin/${name}`)
  }
  stage.write('etc/passwd', 'root:x:0:0:root:/root:/bin/sh\n')
  stage.write('etc/group', 'root:x:0:\n')
  stage.write('etc/hosts', '127.0.0.1 localhost\n')
}

/** node, and `npx` as far as it goes without npm: it runs the commands of this project and of its packages. */
function addNode(stage) {
  const node = realpathSync(process.execPath)
  stage.add(node)
  if (node !== '/usr/bin/node') stage.link(node, 'usr/bin/node')
  stage.write('usr/bin/npx', '#!/bin/sh\nexec "$@"\n')
  stage.write('usr/bin/vmexit', `#!/bin/sh\nexec node '${join(root, 'dist/cli/main.js')}' "$@"\n`)
  return node
}

/**
 * Builds the disk image in `directory` and returns its path. `programs` shall be in it with the libraries that they need, and `folders` others, by
 * the path that each has there.
 */
export async function buildDisk(directory, parts, programs, folders) {
  const mkfs = findCommand('mkfs.ext4')
  if (!mkfs) throw new Failure('mkfs.ext4 not found (Debian and Ubuntu: apt-get install e2fsprogs)')
  const stage = new Stage(join(directory, 'stage'))
  await addSystem(stage, parts.busybox)
  await addLinux(stage, directory, parts)
  const node = addNode(stage)
  stage.addTree(root, { leftOut: LEFT_OUT })
  stage.addTree(join(root, 'node_modules'), { leftOut: PACKAGES_LEFT_OUT })
  for (const [at, folder] of Object.entries(folders)) stage.addTree(folder, { at })
  for (const program of programs) stage.add(program)
  for (const library of await libraries([node, ...stage.loaders, ...programs], parts.qemu.env)) {
    stage.add(realpathSync(library), library)
  }
  const image = join(directory, 'disk.ext4')
  const inodes = stage.files + 4096
  // Metadata and the inode table take what this leaves.
  const kibibytes = Math.ceil((stage.bytes * 1.05) / 1024) + inodes + 16 * 1024
  const layout = ['-b', BLOCK_BYTES, '-N', inodes, '-O', '^has_journal', '-m', 0].map(String)
  const command = [mkfs, '-q', '-F', '-d', stage.directory, ...layout, image, `${kibibytes}k`]
  await run('building the disk', command, { seconds: MKFS_SECONDS })
  return image
}
