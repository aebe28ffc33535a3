// npm publish for each package of a release.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { run } from '../run.mjs'

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

/**
 * The option by which npm signs the workflow that built a package. It can do so in that workflow only, and what others
 * may install is never without; a registry on this machine takes it from anywhere.
 */
export function provenance(options, env) {
  if (options.some((option) => option.startsWith('--registry=http://127.0.0.1:'))) return []
  if (env.GITHUB_ACTIONS) return ['--provenance']
  throw new Error('this is published by .github/workflows/release.yml, see docs/release.md')
}
