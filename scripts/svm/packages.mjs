// Debian packages, downloaded and unpacked without being installed; the host's own package lists are not touched.
import { existsSync, mkdirSync, readdirSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { Failure, run } from './scope.mjs'

const ASK_SECONDS = 120
const DOWNLOAD_SECONDS = 300
const UNPACK_SECONDS = 60

/** apt with lists and downloads of its own in `directory`, which needs no privilege. */
export class Packages {
  constructor(directory) {
    this.directory = directory
    const settings = [`Dir::State::Lists=${directory}/lists`, `Dir::Cache=${directory}/apt`]
    // Where root runs it, apt would drop to a user who cannot reach this directory, and warn.
    settings.push('Debug::NoLocking=1', 'APT::Sandbox::User=root')
    this.options = settings.flatMap((setting) => ['-o', setting])
    for (const name of ['lists/partial', 'apt/archives/partial', 'deb', 'tree']) {
      mkdirSync(join(directory, name), { recursive: true })
    }
  }

  async ask(title, [command, ...args], seconds = ASK_SECONDS) {
    const env = { ...process.env, LC_ALL: 'C' }
    const options = { seconds, cwd: join(this.directory, 'deb'), env }
    try {
      return await run(title, [command, ...this.options, ...args], options)
    } catch (error) {
      const earlier = this.reason ? `${this.reason.message}\n` : ''
      throw new Failure(`${earlier}${error.message}`, { cause: error })
    }
  }

  /** Reads the lists. One source that fails need not matter: its reason is kept for a failure that follows. */
  async update() {
    const command = ['apt-get', '-qq', '-o', 'APT::Update::Error-Mode=any', 'update']
    await this.ask('reading the package lists', command).catch((error) => (this.reason = error))
  }

  /** The package that a metapackage stands for. */
  async behind(name) {
    const text = await this.ask(`looking up ${name}`, ['apt-cache', 'depends', name])
    const found = text.match(/Depends: (\S+)/)?.[1]
    if (!found) throw new Failure(`${name} names no package`)
    return found
  }

  /** A package and those it needs that this host lacks, as `name=version`. */
  async withDependencies(name) {
    const args = ['install', '--print-uris', '-qq', '--no-install-recommends', name]
    const text = await this.ask(`looking up ${name}`, ['apt-get', ...args])
    const files = text.matchAll(/^'[^']*' ([^_\s]+)_([^_\s]+)_\S+/gm)
    return [...files].map(([, file, version]) => `${file}=${decodeURIComponent(version)}`)
  }

  /** Downloads packages and unpacks them into one folder of `cache`, named after the one called `name`. */
  async unpack(name, wanted, cache) {
    const command = ['apt-get', '-qq', 'download', ...wanted]
    await this.ask(`downloading ${name}`, command, DOWNLOAD_SECONDS)
    const files = readdirSync(join(this.directory, 'deb'))
    const tree = join(this.directory, 'tree')
    for (const file of files) {
      const unpack = ['dpkg-deb', '-x', join(this.directory, 'deb', file), tree]
      await run(`unpacking ${file}`, unpack, { seconds: UNPACK_SECONDS })
    }
    const main = files.find((file) => file.startsWith(`${name}_`))
    // As the file is named, an epoch's colon escaped: a library path has colons between its folders.
    const target = join(cache, main.replace(/_[^_]*$/, ''))
    // Renamed when complete, so that an interrupted download never looks like a cached one.
    if (!existsSync(target)) renameSync(tree, target)
    return target
  }
}
