// npm run release:version, :changelog, :pack, :publish and :dry; docs/release.md says when to use which.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { buildAddons } from '../package/addon.mjs'
import { provenance, publish } from '../package/publish.mjs'
import { stage } from '../package/stage.mjs'
import { must, root } from '../run.mjs'
import { mustSetUp } from '../setup.mjs'
import { rehearse } from './dry.mjs'
import { files, isVersion, problemsOf, versionsIn, withRelease, withVersion } from './texts.mjs'

const say = (line) => process.stderr.write(`release: ${line}\n`)

const read = (file) => readFileSync(join(root, file), 'utf8')

const edit = (file, change) => writeFileSync(join(root, file), change(read(file)))

/** Throws unless this tree can be released. */
function assertReady() {
  const problems = problemsOf(read, must(['git', 'status', '--porcelain']).trim())
  if (problems.length > 0) throw new Error(`not ready for a release:\n${problems.join('\n')}`)
}

const steps = {
  version(version) {
    if (!isVersion(version)) throw new Error(`not a version: ${version}; say which, as 1.2.3`)
    for (const file of files) edit(file, (text) => withVersion(text, version))
    say(`this is ${version}`)
  },
  changelog() {
    const date = new Date().toISOString().slice(0, 10)
    edit('CHANGELOG.md', (text) => withRelease(text, versionsIn(read('package.json'))[0], date))
  },
  async pack() {
    assertReady()
    mustSetUp()
    buildAddons(say)
    const packages = await stage(process.env.GITHUB_REPOSITORY)
    for (const { name, folder } of packages) say(`${name}: ${folder}`)
  },
  /** `options` are npm's. */
  async publish(...options) {
    assertReady()
    const packages = await stage(process.env.GITHUB_REPOSITORY)
    await publish(packages, [...provenance(options, process.env), ...options], say)
  },
  dry: () => rehearse(say),
}

const [name, ...args] = process.argv.slice(2)
try {
  if (!Object.hasOwn(steps, name ?? '')) throw new Error(`say one of ${Object.keys(steps)}`)
  await steps[name](...args)
} catch (error) {
  say(error.message)
  process.exitCode = 1
}
