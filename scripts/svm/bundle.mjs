// ava and the specs, each bundled into few files: inside, reading hundreds of modules and compiling TypeScript takes longer than the
// tests. What is bundled is the same code; nothing in it knows.
import { chmodSync, copyFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { root } from '../run.mjs'

const ava = join(root, 'node_modules', 'ava')

// ava names its worker by a path beside its own modules, and scripts/report/ its reporter: they keep their places.
const AVA_MODULES = [
  'entrypoints/cli.mjs',
  'entrypoints/main.mjs',
  'lib/cli.js',
  'lib/reporters/tap.js',
  'lib/worker/base.js',
]

const withoutExtension = (path) => path.replace(/\.\w+$/, '')

// Not with the module: what only starts the machine has no need of the bundler.
const loadBundler = async () => (await import('rolldown')).rolldown

/** Writes a bundled ava into `folder`, in the place of the package. */
export async function bundleAva(folder) {
  const rolldown = await loadBundler()
  const extensions = new Map(AVA_MODULES.map((path) => [withoutExtension(path), path]))
  const bundle = await rolldown({
    input: Object.fromEntries([...extensions].map(([name, path]) => [name, join(ava, path)])),
    platform: 'node',
    // For ava's watch mode only.
    external: ['@vercel/nft'],
  })
  await bundle.write({
    dir: folder,
    format: 'esm',
    entryFileNames: ({ name }) => extensions.get(name),
    chunkFileNames: 'lib/[name]-[hash].js',
  })
  await bundle.close()
  copyFileSync(join(ava, 'package.json'), join(folder, 'package.json'))
  chmodSync(join(folder, 'entrypoints', 'cli.mjs'), 0o755)
}

/** A module's own address, which it shall keep in a bundle that stands elsewhere. */
const ownAddress = {
  name: 'own-address',
  transform: {
    filter: { id: /\.ts$/, code: 'import.meta.url' },
    handler: (code, id) =>
      code.replaceAll('import.meta.url', JSON.stringify(pathToFileURL(id).href)),
  },
}

/** Packages, Node's modules and the loader of the native addon stay outside; helpers of the compiler do not. */
const isOutside = (id) => !/^(\.|\/|@oxc-project\/runtime|\0)/.test(id)

async function bundleSpec(rolldown, path, target) {
  const bundle = await rolldown({
    input: join(root, path),
    platform: 'node',
    external: isOutside,
    tsconfig: join(root, 'tsconfig.json'),
    transform: { target: `node${process.versions.node}` },
    plugins: [ownAddress],
  })
  await bundle.write({ file: target, format: 'esm', codeSplitting: false })
  await bundle.close()
}

/** The name of a spec's bundle. */
export const bundled = (path) => `${withoutExtension(path)}.js`

/**
 * Writes each spec into `folder`, as one file with all that it imports of the project, and the settings with which ava runs them:
 * those of the project, without its compiler.
 */
export async function bundleSpecs(paths, { ava: settings }, folder) {
  const rolldown = await loadBundler()
  await Promise.all(paths.map((path) => bundleSpec(rolldown, path, join(folder, bundled(path)))))
  const own = {
    ...settings,
    extensions: ['js'],
    files: ['target/svm/**/*.js'],
    nodeArguments: settings.nodeArguments.filter((argument) => !argument.startsWith('--import')),
  }
  writeFileSync(join(folder, 'ava.config.mjs'), `export default ${JSON.stringify(own)}\n`)
}
