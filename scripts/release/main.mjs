// npm run release:version, :changelog, :pack, :publish and :dry; docs/release.md says when to use which.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { buildAddons } from '../package/addon.mjs'
import { provenance, publish } from '../package/publish.mjs'
import { stage } from '../package/stage.mjs'
import { root } from '../run.mjs'
import { setup } from '../setup.mjs'
import { withRelease } from './changelog.mjs'
import { rehearse } from './dry.mjs'
import { assertReady } from './problems.mjs'
import { files, isVersion, withVersion } from './versions.mjs'

const say = (line) => process.stderr.write(`release: ${line}\n`)

function edit(file, change) {
  const path = join(root, file)
  writeFileSync(path, change(readFileSync(path, 'utf8')))
}

const ownVersion = () => JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).version

function prepare() {
  if (!setup()) throw new Error('set-up failed')
}

const steps = {
  version(version) {
    if (!isVersion(version)) throw new Error(`not a version: ${version}; say which, as 1.2.3`)
    for (const file of files) edit(file, (text) => withVersion(text, version))
    say(`this is ${version}`)
  },
  changelog() {
    const date = new Date().toISOString().slice(0, 10)
    edit('CHANGELOG.md', (text) => withRelease(text, ownVersion(), date))
  },
  pack() {
    assertReady()
    prepare()
    buildAddons(say)
    for (const { name, folder } of stage(process.env.GITHUB_REPOSITORY)) say(`${name}: ${folder}`)
  },
  /** `options` are npm's. */
  async publish(...options) {
    assertReady()
    const packages = stage(process.env.GITHUB_REPOSITORY)
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
