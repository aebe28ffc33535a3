// npm publish for each package of a release.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { run } from './commands.mjs'

/** Where the version has a suffix, as 1.0.0-rc.1, it must not become what `npm install vmexit` gives. */
const tagOf = (version) => (version.includes('-') ? 'next' : 'latest')

/** Publishes `packages` of `stage()` in their order; `options` are npm's, such as `--registry=…`. */
export async function publish(packages, options, say) {
  for (const { name, folder } of packages) {
    const { version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
    say(`publishing ${name} ${version}`)
    const tag = `--tag=${tagOf(version)}`
    await run(['npm', 'publish', folder, '--access=public', tag, ...options])
  }
}
