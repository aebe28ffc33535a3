// cargo-deny and cargo-llvm-cov, as scripts/tools.txt pins them, in .cache/tools.
import { copyFileSync, existsSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { capture, root } from './run.mjs'

const list = join(root, 'scripts', 'tools.txt')
const folder = join(root, '.cache', 'tools')
const stamp = join(folder, 'tools.txt')

/** `{ path }` of a tool, or `{ missing }` with the reason; the first call fetches them all. */
export function findTool(name) {
  const current = existsSync(stamp) && readFileSync(stamp).equals(readFileSync(list))
  if (!current) {
    rmSync(folder, { recursive: true, force: true })
    const pip = ['python3', '-m', 'pip', 'install', '--quiet', '--disable-pip-version-check']
    const wanted = ['--no-deps', '--only-binary=:all:', '--require-hashes', '--requirement', list]
    const { ok, output } = capture([...pip, '--target', folder, ...wanted])
    if (!ok) return { missing: `${name} could not be fetched with python3's pip: ${output.trim()}` }
    copyFileSync(list, stamp)
  }
  return { path: join(folder, 'bin', name) }
}
