// What the repository's files say of versions and releases, as text. `npm version` would lay package.json out anew.

/** The files that say which version this is; the crates, which are not published, stay at 0.0.0. */
export const files = [
  ...['package.json', 'package-lock.json'],
  ...['packages/fleet/package.json', 'packages/manager/package.json'],
]

/** Of all packages, and of the vmexit that the others stand beside. */
const PLACE =
  /("name": "(?:vmexit|@vmexit\/(?:fleet|manager))",\n *"version": "|"peerDependencies": \{\s*"vmexit": ")([^"]*)/g

export const isVersion = (text) => /^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$/.test(text ?? '')

/** The versions that a file's text says, each once. */
export const versionsIn = (text) => [
  ...new Set([...text.matchAll(PLACE)].map(([, , found]) => found)),
]

/** The text with another version. */
export const withVersion = (text, version) => text.replace(PLACE, `$1${version}`)

const UNRELEASED = '## Unreleased\n'

/** The entries of a heading of CHANGELOG.md: what stands between it and the next. */
function entriesOf(changelog, heading) {
  const [, rest] = changelog.split(heading)
  return rest?.split(/^## /m)[0].trim() ?? ''
}

/** What the release of `version` says, or nothing. */
export const releaseEntries = (changelog, version) =>
  entriesOf(changelog, new RegExp(`^## ${version.replaceAll('.', '\\.')} .*\n`, 'm'))

/** The changelog in which what was unreleased is the release of `version`. */
export function withRelease(changelog, version, date) {
  if (releaseEntries(changelog, version)) throw new Error(`CHANGELOG.md has ${version} already`)
  if (!entriesOf(changelog, UNRELEASED)) throw new Error('CHANGELOG.md: nothing is unreleased')
  return changelog.replace(UNRELEASED, `${UNRELEASED}\n## ${version} (${date})\n`)
}

/**
 * What keeps this tree from being released, one line each; `read` gives a file's text, `changes` what
 * git has not committed.
 */
export function problemsOf(read, changes) {
  const [version] = versionsIn(read('package.json'))
  const problems = files
    .map((file) => [file, versionsIn(read(file)).join(' and ')])
    .filter(([, found]) => found !== version)
    .map(([file, found]) => `${file} says ${found || 'no version'}, package.json says ${version}`)
  const entries = releaseEntries(read('CHANGELOG.md'), version)
  if (!entries) problems.push(`CHANGELOG.md has no entries for ${version}`)
  if (changes) problems.push(`not committed: ${changes.split('\n').join(', ')}`)
  return problems
}
