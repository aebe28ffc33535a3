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
/** A distribution's own archive, of which there are sources. */
const ARCHIVE = /\/(debian|ubuntu)\b/

/** What the host's lists say, for sources, in both of their languages. */
function sourceLists(): { readonly sources: string; readonly list: string } {
  const folder = '/etc/apt/sources.list.d'
  const names = existsSync(folder) ? readdirSync(folder).map((name) => join(folder, name)) : []
  const texts = (ending: string): string[] =>
    [...names, '/etc/apt/sources.list']
      .filter((name) => name.endsWith(ending) && existsSync(name))
      .map((name) => readFileSync(name, 'utf8'))
  const stanzas = texts('.sources').flatMap((text) => text.split(/\n\s*\n/))
  const lines = texts('.list').flatMap((text) => text.split('\n'))
  return {
    sources: stanzas
      .filter((text) => /^URIs:/m.test(text) && ARCHIVE.test(text))
      .map((text) => text.trim().replace(/^Types:.*$/m, 'Types: deb-src'))
      .join('\n\n'),
    list: lines
      .filter((line) => /^deb\s/.test(line) && ARCHIVE.test(line))
      .map((line) => line.replace(/^deb/, 'deb-src'))
      .join('\n'),
  }
}

async function fetch(): Promise<void> {
  mkdirSync(resolve('.cache'), { recursive: true })
  const folder = mkdtempSync(resolve('.cache/libvirt-fresh-'))
  try {
    const parts = join(folder, 'parts')
    mkdirSync(parts)
    const { sources, list } = sourceLists()
    writeFileSync(join(parts, 'a.sources'), `${sources}\n`)
    writeFileSync(join(parts, 'b.list'), `${list}\n`)
    const own = [`Dir::Etc::SourceList=${folder}/none`, `Dir::Etc::SourceParts=${parts}`]
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
    const said = (error as Error).message.trim().split('\n').at(-1)
    return { reason: `no source package of libvirt: ${said}` }
  }
}
