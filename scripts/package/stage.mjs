// The folders that are published: the main package, and one for each platform that there is a binary for.
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { must, root } from '../run.mjs'
import { prune } from './prune.mjs'
import { artifacts, binaryName, cache, packageName, targets } from './targets.mjs'

/** Fields of package.json that serve the repository only. Without scripts, an install runs nothing. */
const OURS = ['scripts', 'devDependencies', 'ava', 'napi', 'workspaces']

const LICENCES = ['LICENSE-APACHE', 'LICENSE-MIT']

/** The packages beside the main one. */
export const MANAGER = '@vmexit/manager'
export const FLEET = '@vmexit/fleet'

/**
 * Makes them from dist/ and the artifacts, and returns `[{ name, folder, target }]` in the order of publishing: each
 * after what it needs, so that it cannot be installed without.
 */
export async function stage(repository) {
  const main = join(cache, 'stage')
  unpack(root, main)
  await prune(main)
  const located = (manifest) => ({
    ...manifest,
    // npm accepts provenance only from the repository that the package names.
    ...(repository && {
      repository: {
        ...manifest.repository,
        url: `git+https://github.com/${repository}.git`,
      },
    }),
  })
  editManifest(main, located)
  linkPictures(main)
  const napi = (...words) => must(['node_modules/.bin/napi', ...words, '--cwd', main])
  napi('create-npm-dirs')
  napi('artifacts', '--output-dir', artifacts)
  napi('pre-publish', '--tag-style', 'npm', '--skip-optional-publish', '--no-gh-release')
  editManifest(main, withoutOurs)
  return [
    ...targets.map((target) => finishPlatform(main, target)),
    { name: 'vmexit', folder: main },
    stageBeside(MANAGER, located),
    stageBeside(FLEET, located),
  ]
}

function stageBeside(name, located) {
  const short = name.replace('@vmexit/', '')
  const folder = join(cache, `stage-${short}`)
  unpack(join(root, 'packages', short), folder)
  for (const file of LICENCES) copyFileSync(join(root, file), join(folder, file))
  editManifest(folder, (manifest) => withoutOurs(located(manifest)))
  return { name, folder }
}

const withoutOurs = (manifest) =>
  Object.fromEntries(Object.entries(manifest).filter(([key]) => !OURS.includes(key)))

/** What npm takes of a folder of the repository, and nothing else. */
function unpack(from, folder) {
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  must(['npm', 'pack', '--silent', '--pack-destination', folder], { cwd: from })
  const path = join(folder, readdirSync(folder)[0])
  must(['tar', '-xzf', path, '--strip-components=1', '-C', folder])
  rmSync(path)
}

/** Pictures stay in the repository, whose size counts for less: published pages show them from there. */
function linkPictures(folder) {
  const { repository } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
  const home = repository.url.replace(/^git\+/, '').replace(/\.git$/, '')
  const places = `${home}/raw/main/docs/pictures/`
  // Drawings of the guide's own are small, and go with it.
  for (const [name, from] of Object.entries({ docs: 'pictures/', 'docs/guide': '../pictures/' })) {
    const names = readdirSync(join(folder, name)).filter((each) => each.endsWith('.md'))
    for (const path of names.map((each) => join(folder, name, each))) {
      const text = readFileSync(path, 'utf8')
      writeFileSync(path, text.replaceAll(`](${from}`, `](${places}`))
    }
  }
}

function editManifest(folder, edit) {
  const path = join(folder, 'package.json')
  const edited = edit(JSON.parse(readFileSync(path, 'utf8')))
  writeFileSync(path, `${JSON.stringify(edited, null, 2)}\n`)
}

function finishPlatform(main, target) {
  const folder = join(main, 'npm', target.platform)
  const binary = binaryName(target)
  if (!existsSync(join(folder, binary))) throw new Error(`${binary} has not been built`)
  for (const name of LICENCES) copyFileSync(join(root, name), join(folder, name))
  editManifest(folder, (manifest) => ({
    ...manifest,
    description: `The native binding of vmexit for ${target.needs}`,
    files: [...manifest.files, ...LICENCES],
  }))
  writeFileSync(join(folder, 'README.md'), platformReadme(target))
  return { name: packageName(target), folder, target }
}

const platformReadme = (target) => `# ${packageName(target)}

The native binding of [vmexit](https://www.npmjs.com/package/vmexit) for ${target.needs}.

npm installs it beside \`vmexit\` where it fits. It has no API of its own: install \`vmexit\`.

Licence: MIT or Apache-2.0, at your option.
`
