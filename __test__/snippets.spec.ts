// The code in Markdown files and in the doc comments of the API runs against dist/, and prints what
// it says.
import { execFile, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'

import type { CpuMode, Privilege } from '../src/index.ts'
import { noBinutils } from './fixtures/binutils.ts'
import { kvmTest, skipsMode } from './helpers/kvm.ts'
import { documentedLibraries } from './helpers/native.ts'
import {
  type Snippet,
  allSnippets as every,
  isGuide,
  linesOf,
  matches,
  modesOf,
  promised,
  toModule,
} from './helpers/snippets.ts'

const allSnippets = every.filter((snippet) => !isGuide(snippet))

const execute = promisify(execFile)
/** Of all programs together; an emulated processor that is busy takes minutes. */
const timeout = 500_000
const vmexit = resolve('dist/cli/main.js')

// Inside the package, so that its own name leads to dist/.
mkdirSync('.cache', { recursive: true })
const folder = mkdtempSync(resolve('.cache/snippets-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))

const programs = new Map(
  allSnippets
    .filter(({ language }) => language === 'ts')
    .map((snippet, index) => [join(folder, `${index}.ts`), snippet]),
)

/** Where the libraries are that programs read; nowhere, where there is no compiler for them. */
function buildLibraries(): string | undefined {
  const place = join(folder, 'libraries')
  mkdirSync(place)
  for (const [file, library] of documentedLibraries()) {
    if ('missing' in library) return undefined
    writeFileSync(join(place, file), library.image)
  }
  return place
}

let libraries: string | undefined

/** All in one process, in the order in which they stand. */
async function runPrograms(): Promise<Record<string, string>> {
  for (const [file, snippet] of programs) writeFileSync(file, toModule(snippet))
  libraries = buildLibraries()
  const runner = resolve('__test__/fixtures/snippets.mjs')
  const args = ['--import', '@oxc-node/core/register', runner, ...programs.keys()]
  const env = { ...process.env, ...(libraries && { VMEXIT_TEST_LIBRARIES: libraries }) }
  const { stdout } = await execute(process.execPath, args, { timeout, env })
  return JSON.parse(stdout)
}

let running: Promise<Record<string, string>> | undefined

for (const [file, snippet] of programs) {
  kvmTest(`${snippet.place} prints what it says`, async (t) => {
    const modes = modesOf(snippet.code) as [CpuMode, Privilege][]
    if (modes.some(([mode, privilege]) => skipsMode(t, mode, privilege))) return
    running ??= runPrograms()
    const printed = linesOf((await running)[file] ?? '')
    if (!libraries && snippet.code.includes(".elf'")) {
      t.log('skipped: no compiler for its library')
      t.pass()
      return
    }
    if (noBinutils && /\bassemble(Sync)?\(/.test(snippet.code)) {
      t.log(`skipped: ${noBinutils}`)
      t.pass()
      return
    }
    const missing = /'(\/(?:usr\/)?bin\/\w+)'/.exec(snippet.code)?.[1]
    if (missing !== undefined && !existsSync(missing)) {
      t.log(`skipped: no ${missing} here`)
      t.pass()
      return
    }
    t.not(promised(snippet).length, 0, 'it must print something')
    t.true(matches(printed, promised(snippet)), printed.join('\n'))
  })
}

/** Runs a shell script in a folder of its own, where `npx vmexit` is this one. */
async function runScript({ code, assembly }: Snippet): Promise<string> {
  const place = mkdtempSync(join(folder, 'sh-'))
  const npx = join(place, 'npx')
  writeFileSync(npx, `#!/bin/sh\nshift\nexec '${process.execPath}' '${vmexit}' "$@"\n`, {
    mode: 0o755,
  })
  if (assembly !== undefined) writeFileSync(join(place, /\w+\.S/.exec(code)![0]), assembly)
  const env = { ...process.env, PATH: `${place}:${process.env['PATH']}` }
  const { stdout } = await execute('sh', ['-ec', code], { cwd: place, env, timeout })
  return stdout
}

/** Programs that a script needs and this host lacks. */
const missing = ({ code }: Snippet): string[] =>
  ['cc', 'ld', 'objcopy'].filter(
    (tool) => new RegExp(`^${tool} `, 'm').test(code) && spawnSync(tool, ['--version']).error,
  )

for (const script of allSnippets.filter(
  ({ language, output }) => language === 'sh' && output !== undefined,
)) {
  kvmTest(`${script.place} prints what it says`, async (t) => {
    const lacks = missing(script)
    if (lacks.length > 0) {
      t.log(`skipped: ${lacks.join(', ')} not found`)
      t.pass()
      return
    }
    const printed = linesOf(await runScript(script))
    t.true(matches(printed, promised(script)), printed.join('\n'))
  })
}
