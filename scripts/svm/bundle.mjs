// ava and the specs, each bundled into few files: inside, reading hundreds of modules and compiling TypeScript takes longer than the
// tests. What is bundled is the same code; nothing in it knows.
import { chmodSync, copyFileSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { root } from '../run.mjs'

const ava = join(root, 'node_modules', 'ava')

// By the process that they run in, as a chunk that both share would bring to each what only the other needs. ava names its worker by a
// path beside its own modules, so that keeps its place.
const AVA_MODULES = {
  main: ['entrypoints/cli.mjs', 'lib/cli.js'],
  worker: ['entrypoints/main.mjs', 'lib/worker/base.js'],
}

/** Packages and Node's modules stay outside; helpers of the compiler do not. */
const isOutside = (id) => !/^(\.|\/|@oxc-project\/runtime|\0)/.test(id)

const withoutExtension = (path) => path.replace(/\.\w+$/, '')

async function write(input, options, output) {
  // Not with the module: what only starts the machine has no need of the bundler.
  const { rolldown } = await import('rolldown')
  const bundle = await rolldown({ input, platform: 'node', ...options })
  const written = await bundle.write({ format: 'esm', ...output })
  await bundle.close()
  return written.output
}

/** Writes a bundled ava into `folder`, in the place of the package. */
export async function bundleAva(folder) {
  for (const [side, paths] of Object.entries(AVA_MODULES)) {
    const extensions = new Map(paths.map((path) => [withoutExtension(path), path]))
    const input = Object.fromEntries([...extensions].map(([name, path]) => [name, join(ava, path)]))
    // What is outside is for ava's watch mode only.
    await write(
      input,
      { external: ['@vercel/nft'] },
      {
        dir: folder,
        entryFileNames: ({ name }) => extensions.get(name),
        chunkFileNames: `lib/${side}-[name]-[hash].js`,
      },
    )
  }
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

/** The loader of the native addon stays outside, at its own address: it looks for the addon beside itself. */
const ownLoader = {
  name: 'own-loader',
  resolveId: {
    filter: { id: /\/native\.cjs$/ },
    handler: () => ({ id: join(root, 'native.cjs'), external: 'absolute' }),
  },
}

/** Bundles a spec, and returns whether it holds anything of the package itself. */
async function bundleSpec(path, file) {
  const options = {
    external: isOutside,
    tsconfig: join(root, 'tsconfig.json'),
    transform: { target: `node${process.versions.node}` },
    plugins: [ownAddress, ownLoader],
  }
  const output = await write(join(root, path), options, { file, codeSplitting: false })
  const ids = output.flatMap(({ moduleIds = [] }) => moduleIds)
  return ids.some((id) => id.startsWith(join(root, 'src')))
}

/** The name of a spec's bundle. */
export const bundled = (path) => `${withoutExtension(path)}.js`

/**
 * Writes each spec into `folder`, as one file with all that it imports of the project, and the settings with which ava runs them:
 * those of the project, without its compiler. Returns the specs that import something of src/: what the others check is the same whatever
 * the KVM.
 */
export async function bundleSpecs(paths, folder) {
  const uses = await Promise.all(paths.map((path) => bundleSpec(path, join(folder, bundled(path)))))
  const { ava: settings } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  const own = {
    ...settings,
    extensions: ['js'],
    files: ['target/svm/**/*.js'],
    nodeArguments: settings.nodeArguments.filter((argument) => !argument.startsWith('--import')),
  }
  writeFileSync(join(folder, 'ava.config.mjs'), `export default ${JSON.stringify(own)}\n`)
  return paths.filter((_, index) => uses[index])
}
