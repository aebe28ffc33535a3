// Compiles src/ into dist/, and then the packages in packages/. What users load of an entry is one CommonJS file: Node.js takes a millisecond for each file, and
// Jest and Vitest cannot require an ES module. An ES module beside it hands out the same names.
import { chmodSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { build } from 'esbuild'
import ts from 'typescript'
import { buildPage } from './package/page.mjs'
import { must, root } from './run.mjs'

const dist = join(root, 'dist')

/** Folders in dist/ of what users import: the package itself, `vmexit/gdb` and `vmexit/process`. */
const ENTRIES = ['.', 'gdb', 'process']

/** Of these there is one in a process, that of the package. */
const SHARED = [join(dist, 'index.js'), join(dist, 'native/vm-error.js')]

/** The names that are values, and whether each is a type too, as a class is. */
function values(entry) {
  const path = join(dist, entry, 'index.d.ts')
  const program = ts.createProgram([path], { module: ts.ModuleKind.NodeNext })
  const types = program.getTypeChecker()
  return types
    .getExportsOfModule(types.getSymbolAtLocation(program.getSourceFile(path)))
    .filter(({ declarations }) => !declarations.some(ts.isTypeOnlyImportOrExportDeclaration))
    .map((symbol) => {
      const { flags } =
        symbol.flags & ts.SymbolFlags.Alias ? types.getAliasedSymbol(symbol) : symbol
      return { name: symbol.name, flags }
    })
    .filter(({ flags }) => flags & ts.SymbolFlags.Value)
    .map(({ name, flags }) => ({ name, isType: Boolean(flags & ts.SymbolFlags.Type) }))
}

/**
 * Between the ES module and the package: Node.js looks for the names in a file that it imports, which takes Node.js 20
 * milliseconds for a long one, and what that file throws ends Node.js 20, caught or not.
 */
const LOADER = `'use strict'
exports.load = () => require('./index.cjs')
`

/** Before anything else: a bundle without `require()` ends at the first, which says nothing that helps. */
const GUARD = `'use strict'
try {
  require('node:util')
} catch (cause) {
  const text = 'vmexit needs require(), which this bundle lacks: mark vmexit as external'
  const error = new Error(text, { cause })
  throw Object.assign(error, { name: 'VmError', code: 'ERR_BINDING_UNAVAILABLE' })
}`

const esModule = (names) => `import { load } from './load.cjs'

export const { ${names.join(', ')} } = load()
`

/** The types are those of the ES module, so that a machine is the same to both. */
const commonTypes = (
  found,
) => `import type * as vmexit from './index.js' with { 'resolution-mode': 'import' }

export type * from './index.js' with { 'resolution-mode': 'import' }
${found
  .map(
    ({ name, isType }) =>
      `export declare const ${name}: typeof vmexit.${name}\n` +
      (isType ? `export type ${name} = vmexit.${name}\n` : ''),
  )
  .join('')}`

/** The loader of the addon stays a file of its own, in the root: it looks for the addon beside itself. */
const loaderOutside = (path) => ({
  name: 'loader-outside',
  setup: ({ onResolve }) =>
    onResolve({ filter: /\/native\.cjs$/ }, () => ({ path, external: true })),
})

/** What users compare by identity is that of the package, whichever entry they have it from. */
const packageOutside = {
  name: 'package-outside',
  setup: ({ onResolve }) =>
    onResolve({ filter: /\/(index|vm-error)\.js$/ }, ({ resolveDir, path }) => {
      const isPackage = SHARED.includes(join(resolveDir, path))
      return isPackage ? { path: '../index.cjs', external: true } : undefined
    }),
}

async function bundle(entry) {
  const isMain = entry === '.'
  const folder = join('dist', entry)
  await build({
    absWorkingDir: root,
    entryPoints: [join(folder, 'index.js')],
    outfile: join(folder, 'index.cjs'),
    bundle: true,
    format: 'cjs',
    platform: 'node',
    target: 'node20',
    plugins: isMain
      ? [loaderOutside('../native.cjs')]
      : [loaderOutside('../../native.cjs'), packageOutside],
    ...(isMain && { banner: { js: GUARD } }),
    logLevel: 'warning',
  })
}

/** What stands beside the bundle: for `import`, and the types of `require()`. */
function writeBeside(entry) {
  const found = values(entry)
  const folder = join(dist, entry)
  writeFileSync(join(folder, 'load.cjs'), LOADER)
  writeFileSync(join(folder, 'index.js'), esModule(found.map(({ name }) => name)))
  writeFileSync(join(folder, 'index.d.cts'), commonTypes(found))
}

rmSync(dist, { recursive: true, force: true })
must(['node_modules/.bin/tsc', '-p', 'tsconfig.build.json'])
// All of them before any module is replaced.
for (const entry of ENTRIES) await bundle(entry)
for (const entry of ENTRIES) writeBeside(entry)
chmodSync(join(dist, 'cli', 'main.js'), 0o755)

// They take the package that was just compiled.
for (const name of ['fleet', 'manager']) {
  rmSync(join(root, 'packages', name, 'dist'), { recursive: true, force: true })
  must(['node_modules/.bin/tsc', '-p', `packages/${name}/tsconfig.build.json`])
}
buildPage()
