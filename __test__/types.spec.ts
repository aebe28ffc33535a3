// The published types, as a strict TypeScript user meets them: misuse does not compile, and what
// users write does.
import { readFileSync } from 'node:fs'

import test from 'ava'
import ts from 'typescript'

const misuse = '__test__/fixtures/types/misuse.ts'
const use = '__test__/fixtures/types/use.ts'
const mark = /^ *\/\/ @ts-expect-error (\d+) (.*)$/

const options: ts.CompilerOptions = {
  strict: true,
  skipLibCheck: false,
  noEmit: true,
  target: ts.ScriptTarget.ES2022,
  lib: ['lib.es2022.d.ts', 'lib.esnext.disposable.d.ts'],
  types: ['node'],
  module: ts.ModuleKind.NodeNext,
  moduleResolution: ts.ModuleResolutionKind.NodeNext,
}

const lines = readFileSync(misuse, 'utf8').split('\n')

/** By line, counted from 1, what the compiler must say there. */
const expected = new Map(
  lines.flatMap((line, index) => {
    const [, code, why] = mark.exec(line) ?? []
    return code === undefined ? [] : [[index + 2, `${code} ${why}`]]
  }),
)

/** Without its marks, which would hide which error it is. */
const unmarked = lines.map((line) => line.replace('@ts-expect-error', 'refused:')).join('\n')

function diagnostics(): readonly ts.Diagnostic[] {
  const host = ts.createCompilerHost(options)
  const read = host.readFile
  host.readFile = (name) => (name.endsWith(misuse) ? unmarked : read(name))
  const program = ts.createProgram([misuse, use], options, host)
  return ts.getPreEmitDiagnostics(program)
}

const found = diagnostics().map(({ file, start = 0, code, messageText }) => ({
  file: file?.fileName ?? '',
  line: file ? file.getLineAndCharacterOfPosition(start).line + 1 : 0,
  code,
  text: ts.flattenDiagnosticMessageText(messageText, '\n').split('\n')[0],
}))

test('what users write compiles', (t) => {
  const elsewhere = found.filter(({ file }) => !file.endsWith(misuse))
  t.deepEqual(elsewhere, [])
})

test('the misuse is read at all', (t) => {
  t.true(expected.size > 50)
})

for (const [line, what] of expected) {
  test(`does not compile: ${lines[line - 1]?.trim()}: ${what}`, (t) => {
    const here = found.filter((one) => one.file.endsWith(misuse) && one.line === line)
    t.deepEqual([...new Set(here.map(({ code }) => code))], [Number.parseInt(what, 10)])
  })
}

test('nothing but the misuse is refused', (t) => {
  t.deepEqual(
    found.filter((one) => one.file.endsWith(misuse) && !expected.has(one.line)),
    [],
  )
})
