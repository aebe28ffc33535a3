import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs'
import { join, resolve } from 'node:path'

const module = new URL('../../scripts/debian.mjs', import.meta.url).href
const { apt, unpack } = (await import(module)) as {
  apt: (folder: string, words: readonly string[]) => Promise<string>
  unpack: (folder: string, names: readonly string[]) => Promise<string>
}

const folder = resolve('.cache/debian')

/**
 * The unpacked tree of Debian packages. They are downloaded once, into `.cache/debian`, and nothing
 * is installed; where that cannot be done, the reason why, after the word `skipped`.
 */
export async function debianTree(...names: string[]): Promise<string> {
  const kept = join(folder, names.join('+'))
  const tree = join(kept, 'tree')
  if (existsSync(tree)) return tree
  mkdirSync(folder, { recursive: true })
  const fresh = mkdtempSync(join(folder, 'fresh-'))
  try {
    await apt(fresh, ['apt-get', '-qq', 'update'])
    await unpack(fresh, names)
    for (const rest of ['lists', 'cache']) rmSync(join(fresh, rest), { recursive: true })
    // Another process may have been faster.
    if (!existsSync(kept)) renameSync(fresh, kept)
    return tree
  } catch (error) {
    return `skipped: no packages of Debian here: ${(error as Error).message.split('\n')[0]}`
  } finally {
    rmSync(fresh, { recursive: true, force: true })
  }
}
