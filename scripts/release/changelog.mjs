// CHANGELOG.md as text: what is not released stands under `## Unreleased`, the newest release below it.

const UNRELEASED = '## Unreleased\n'

/** The entries of a heading: what stands between it and the next. */
function entriesOf(changelog, heading) {
  const [, rest] = changelog.split(heading)
  return rest?.split(/^## /m)[0].trim() ?? ''
}

/** What the release of `version` says, or nothing. */
export const releaseEntries = (changelog, version) =>
  entriesOf(changelog, new RegExp(`^## ${version.replaceAll('.', '\\.')} .*\n`, 'm'))

/** The text in which what was unreleased is the release of `version`. */
export function withRelease(changelog, version, date) {
  if (releaseEntries(changelog, version)) throw new Error(`CHANGELOG.md has ${version} already`)
  if (!entriesOf(changelog, UNRELEASED)) throw new Error('CHANGELOG.md: nothing is unreleased')
  return changelog.replace(UNRELEASED, `${UNRELEASED}\n## ${version} (${date})\n`)
}
