// The description of libvirt's protocol in Debian's source package, which is fetched for a test
// and kept in .cache: it is under another licence than this project.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync } from 'node:fs'
import { renameSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'

interface Scripts {
  apt(folder: string, words: readonly string[], settings?: readonly string[]): Promise<string>
  run(words: readonly string[], options: { seconds: number; cwd: string }): Promise<string>
}

const load = async <K extends keyof Scripts>(file: string): Promise<Pick<Scripts, K>> =>
  (await import(new URL(`../../../../scripts/${file}`, import.meta.url).href)) as Pick<Scripts, K>
const { apt } = await load<'apt'>('debian.mjs')
const { run } = await load<'run'>('run.mjs')

const kept = resolve('.cache/libvirt-protocol')
const FILES = ['src/remote/remote_protocol.x', 'src/rpc/virnetprotocol.x']
const SECONDS = 120
/** Where a release stands that the host's lists do not name sources of. */
const FALLBACK =
  'Types: deb\nURIs: http://deb.debian.org/debian\nSuites: bookworm\nComponents: main\n'

/** The host's lists, for sources. */
function sourceLists(): string {
  const folder = '/etc/apt/sources.list.d'
  const names = existsSync(folder) ? readdirSync(folder) : []
  const texts = names
    .filter((name) => name.endsWith('.sources'))
    .map((name) => readFileSync(join(folder, name), 'utf8'))
    .flatMap((text) => text.split(/\n\s*\n/))
  const debian = texts.filter((text) => /^URIs:.*\bdebian\b/m.test(text))
  const all = debian.length > 0 ? debian : [FALLBACK]
  return all.map((text) => text.trim().replace(/^Types:.*$/m, 'Types: deb-src')).join('\n\n')
}

async function fetch(): Promise<void> {
  mkdirSync(resolve('.cache'), { recursive: true })
  const folder = mkdtempSync(resolve('.cache/libvirt-fresh-'))
  try {
    const lists = join(folder, 'source.sources')
    writeFileSync(lists, `${sourceLists()}\n`)
    const own = [`Dir::Etc::SourceList=${lists}`, `Dir::Etc::SourceParts=${folder}/none`]
    await apt(folder, ['apt-get', '-qq', 'update'], own)
    await apt(folder, ['apt-get', '-qq', 'source', '--download-only', 'libvirt'], own)
    const archive = readdirSync(folder).find((name) => /^libvirt_.*\.orig\.tar\.\w+$/.test(name))
    const fresh = join(folder, 'kept')
    mkdirSync(fresh)
    const words = ['tar', '-xf', `${folder}/${archive}`, '-C', fresh, '--strip-components=1']
    const wanted = FILES.map((file) => `*/${file}`)
    await run([...words, '--wildcards', ...wanted], { seconds: SECONDS, cwd: folder })
    // Another process may have been faster.
    if (!existsSync(kept)) renameSync(fresh, kept)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** The texts of both files, or why they cannot be had. */
export async function protocolFiles(): Promise<
  { readonly remote: string; readonly net: string } | { readonly reason: string }
> {
  try {
    if (!existsSync(kept)) await fetch()
    const [remote = '', net = ''] = FILES.map((file) => readFileSync(join(kept, file), 'utf8'))
    return { remote, net }
  } catch (error) {
    return { reason: `no source package of libvirt: ${(error as Error).message.split('\n')[0]}` }
  }
}
