// What a release writes into the repository, and what keeps it from being made.
import { readFileSync } from 'node:fs'

import test from 'ava'

const load = async (name: string): Promise<never> =>
  (await import(new URL(`../scripts/${name}.mjs`, import.meta.url).href)) as never

interface Versions {
  files: string[]
  isVersion(text?: string): boolean
  versionsIn(text: string): string[]
  withVersion(text: string, version: string): string
}

interface Changelog {
  releaseEntries(changelog: string, version: string): string
  withRelease(changelog: string, version: string, date: string): string
}

interface Problems {
  problemsOf(read: (file: string) => string, changes: string): string[]
}

interface Publish {
  provenance(options: string[], env: Record<string, string>): string[]
}

const { files, isVersion, versionsIn, withVersion }: Versions = await load('release/texts')
const { releaseEntries, withRelease }: Changelog = await load('release/texts')
const { problemsOf }: Problems = await load('release/texts')
const { provenance }: Publish = await load('package/publish')

const read = (file: string): string => readFileSync(new URL(`../${file}`, import.meta.url), 'utf8')

const [current = ''] = versionsIn(read('package.json'))

for (const file of files) {
  test(`${file} says the version of package.json, and another once it is written`, (t) => {
    const text = read(file)
    t.true(isVersion(current))
    t.deepEqual(versionsIn(text), [current])
    const changed = withVersion(text, '7.8.9-rc.1')
    t.deepEqual(versionsIn(changed), ['7.8.9-rc.1'])
    t.is(withVersion(changed, current), text)
  })
}

test('a version is three numbers, with a suffix or without', (t) => {
  t.deepEqual(['1.2.3', '1.2.3-rc.1'].map(isVersion), [true, true])
  t.deepEqual([undefined, '', '1.2', 'v1.2.3', '1.2.3 ', '1.2.3"'].map(isVersion), [
    ...Array.from({ length: 6 }, () => false),
  ])
})

const changelog = '# Changelog\n\n## Unreleased\n\n- New.\n\n## 1.0.0 (2025-01-02)\n\n- First.\n'

test('what is unreleased becomes a release', (t) => {
  const released = withRelease(changelog, '1.1.0', '2025-03-04')
  t.true(released.includes('## Unreleased\n\n## 1.1.0 (2025-03-04)\n\n- New.\n\n## 1.0.0 '))
  t.is(releaseEntries(released, '1.1.0'), '- New.')
  t.is(releaseEntries(released, '1.0.0'), '- First.')
  t.is(releaseEntries(released, '1.1'), '')
})

test('nothing unreleased, or a version twice, makes no release', (t) => {
  const released = withRelease(changelog, '1.1.0', '2025-03-04')
  t.throws(() => withRelease(released, '1.2.0', '2025-03-04'), { message: /nothing is unreleased/ })
  t.throws(() => withRelease(changelog, '1.0.0', '2025-03-04'), { message: /has 1.0.0 already/ })
})

/** The repository as it would be at a release, with some files otherwise. */
function problems(others: Record<string, string> = {}, changes = ''): string[] {
  const released = { 'CHANGELOG.md': `# Changelog\n\n## ${current} (2025-03-04)\n\n- New.\n` }
  const texts: Record<string, string> = { ...released, ...others }
  return problemsOf((file) => texts[file] ?? read(file), changes)
}

test('a committed tree of one version with a changelog can be released', (t) => {
  t.deepEqual(problems(), [])
})

test('versions that differ, no changelog and uncommitted changes are problems', (t) => {
  for (const file of files.filter((name) => name !== 'package.json')) {
    const text = withVersion(read(file), '7.8.9')
    t.deepEqual(problems({ [file]: text }), [`${file} says 7.8.9, package.json says ${current}`])
  }
  t.deepEqual(problems({ 'package-lock.json': '' }), [
    `package-lock.json says no version, package.json says ${current}`,
  ])
  t.deepEqual(problems({ 'CHANGELOG.md': changelog.replace('1.0.0', '7.8.9') }), [
    `CHANGELOG.md has no entries for ${current}`,
  ])
  t.deepEqual(problems({}, ' M a\n?? b'), ['not committed:  M a, ?? b'])
})

test('a package is published with provenance, or to this machine', (t) => {
  t.deepEqual(provenance(['--dry-run'], { GITHUB_ACTIONS: 'true' }), ['--provenance'])
  t.deepEqual(provenance(['--registry=http://127.0.0.1:1/'], {}), [])
  for (const options of [[], ['--registry=https://example.org/'], ['--tag=127.0.0.1']]) {
    t.throws(() => provenance(options, {}), { message: /release\.yml/ })
  }
})
