// What keeps this tree from being released.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { capture, root } from '../run.mjs'
import { releaseEntries } from './changelog.mjs'
import { files, versionsIn } from './versions.mjs'

/** One line each; `read` gives a file's text, `changes` what git has not committed. */
export function problemsOf(read, changes) {
  const [version] = versionsIn(read('package.json'))
  const others = files.flatMap((file) => {
    const found = versionsIn(read(file))
    if (found.length === 1 && found[0] === version) return []
    return [`${file} says ${found.join(' and ') || 'no version'}, package.json says ${version}`]
  })
  const entries = releaseEntries(read('CHANGELOG.md'), version)
  return [
    ...others,
    ...(entries ? [] : [`CHANGELOG.md has no entries for ${version}`]),
    ...(changes ? [`not committed: ${changes.split('\n').join(', ')}`] : []),
  ]
}

/** Throws unless this tree can be released. */
export function assertReady() {
  const { output } = capture(['git', 'status', '--porcelain'])
  const read = (file) => readFileSync(join(root, file), 'utf8')
  const problems = problemsOf(read, output.trim())
  if (problems.length > 0) throw new Error(`not ready for a release:\n${problems.join('\n')}`)
}
