// What of dist/ is published: what the package and its command line load, and the types that the API has. Users load one
// file, so the modules that it is made of would be there twice.
import { readdirSync, rmSync } from 'node:fs'
import { join, relative } from 'node:path'
import { build } from 'esbuild'
import ts from 'typescript'

const ENTRIES = ['dist', 'dist/gdb', 'dist/process']
const PROGRAMS = [...ENTRIES.map((at) => `${at}/index.js`), 'dist/cli/main.js']
const TYPES = ENTRIES.flatMap((at) => [`${at}/index.d.ts`, `${at}/index.d.cts`])

/** The modules that the programs import, at once or later. */
async function modulesOf(folder) {
  const { metafile } = await build({
    absWorkingDir: folder,
    entryPoints: PROGRAMS,
    bundle: true,
    write: false,
    metafile: true,
    outdir: 'bundle',
    format: 'esm',
    platform: 'node',
    packages: 'external',
    external: ['*.node', '*/native.cjs'],
    logLevel: 'error',
  })
  return Object.keys(metafile.inputs)
}

/** The declarations that the API's refer to. */
function typesOf(folder) {
  const program = ts.createProgram(
    TYPES.map((path) => join(folder, path)),
    { module: ts.ModuleKind.NodeNext, types: [] },
  )
  return program.getSourceFiles().map(({ fileName }) => relative(folder, fileName))
}

/** Takes everything else out of a package's folder. */
export async function prune(folder) {
  const wanted = new Set([...(await modulesOf(folder)), ...typesOf(folder)])
  const dist = readdirSync(join(folder, 'dist'), { recursive: true, withFileTypes: true })
  for (const entry of dist) {
    const path = relative(folder, join(entry.parentPath, entry.name))
    const isBuilt = /\.(js|d\.ts)$/.test(path)
    if (entry.isFile() && isBuilt && !wanted.has(path)) rmSync(join(folder, path))
  }
}
