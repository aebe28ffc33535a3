// A TypeScript project with the strictest settings, compiled once and run on each Node.js version.
import assert from 'node:assert/strict'
import { cpSync, existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { root, run } from '../../run.mjs'
import { give, needsKvm, onEach, userOf } from './cases.mjs'

const SOURCES = ['typed.mts', 'typed.cts']

const COMPILED = 'compiled'

const compilerOptions = {
  target: 'ES2022',
  types: ['node'],
  strict: true,
  noUncheckedIndexedAccess: true,
  exactOptionalPropertyTypes: true,
  verbatimModuleSyntax: true,
  skipLibCheck: false,
}

/** How a project finds modules: as Node.js does, or as a bundler does. */
const resolutions = {
  'as Node.js resolves': { module: 'NodeNext', outDir: COMPILED },
  'as TypeScript 4.7 knew Node.js': { module: 'Node16', outDir: COMPILED },
  'as TypeScript 4 resolved': {
    module: 'CommonJS',
    moduleResolution: 'node10',
    ignoreDeprecations: '6.0',
    verbatimModuleSyntax: false,
    noEmit: true,
  },
  'as a bundler resolves': { module: 'ESNext', moduleResolution: 'bundler', noEmit: true },
}

/** Compiles the sources with our TypeScript and Node.js types, and with everything else the user's. */
export async function compile(user, resolution) {
  const files = resolutions[resolution].outDir ? SOURCES : SOURCES.slice(0, 1)
  for (const name of files) give(user, name)
  const types = join(user.folder, 'node_modules', '@types')
  mkdirSync(types, { recursive: true })
  if (!existsSync(join(types, 'node'))) {
    symlinkSync(join(root, 'node_modules', '@types', 'node'), join(types, 'node'))
  }
  const project = join(user.folder, 'tsconfig.json')
  const options = { ...compilerOptions, ...resolutions[resolution] }
  writeFileSync(project, JSON.stringify({ compilerOptions: options, files }))
  await run(['node', join(root, 'node_modules', '.bin', 'tsc'), '--project', project])
}

async function assertRuns(from, user, name) {
  needsKvm()
  const source = join(from.folder, COMPILED, name)
  cpSync(source, join(user.folder, name))
  assert.equal(await user.run(['node', name]), 'hlt 42\n')
}

export function typeCases(context) {
  const first = () => userOf(context, context.nodes[0].major)
  const compiled = Object.keys(resolutions).map((resolution) => [
    `a strict TypeScript project, ${resolution}`,
    () => compile(first(), resolution),
  ])
  const programs = ['typed.mjs', 'typed.cjs'].map((name) => [
    `${name} of the TypeScript project`,
    (user) => assertRuns(first(), user, name),
  ])
  return {
    ...Object.fromEntries(compiled),
    ...onEach(context, () => Object.fromEntries(programs)),
  }
}
