// The reference is whole: every symbol is described, every method shows an example, every code is a
// real one.
import test from 'ava'
import ts from 'typescript'
import { repositoryFiles } from './helpers/architecture/files.ts'

const options: ts.CompilerOptions = {
  module: ts.ModuleKind.NodeNext,
  target: ts.ScriptTarget.ES2022,
  strict: true,
  stripInternal: true,
}
const entry = 'src/index.ts'
const gdb = 'src/gdb/index.ts'
const library = 'src/process/index.ts'
const seam = 'index.d.ts'
const program = ts.createProgram([entry, gdb, library, seam], options)
const checker = program.getTypeChecker()

const sourceFile = (path: string): ts.SourceFile => program.getSourceFile(path)!
const exportsOf = (path: string): ts.Symbol[] =>
  checker.getExportsOfModule(checker.getSymbolAtLocation(sourceFile(path))!)

const resolved = (symbol: ts.Symbol): ts.Symbol =>
  symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol

const textOf = (symbol: ts.Symbol): string =>
  ts.displayPartsToString(symbol.getDocumentationComment(checker))

const has = (symbol: ts.Symbol, tag: string): boolean =>
  symbol.getJsDocTags(checker).some(({ name }) => name === tag)

/** Members that users see, with the name of what they belong to. */
function members(owner: ts.Symbol): [name: string, member: ts.Symbol][] {
  const all = [...(owner.members?.values() ?? [])].filter(
    (member) => !(member.flags & (ts.SymbolFlags.Constructor | ts.SymbolFlags.TypeParameter)),
  )
  const visible = all.filter((member) => !member.name.startsWith('#') && !has(member, 'internal'))
  return visible.map((member) => [`${owner.name}.${member.name}`, member])
}

const described = (path: string): string[] =>
  exportsOf(path)
    .map(resolved)
    .flatMap((symbol) => [[symbol.name, symbol] as const, ...members(symbol)])
    .flatMap(([name, symbol]) => (textOf(symbol) === '' ? [name] : []))

test('every symbol of the API and of the seam has words', (t) => {
  t.true(exportsOf(entry).length > 40)
  t.true(exportsOf(seam).length > 20)
  t.deepEqual(described(entry), [])
  t.deepEqual(described(gdb), [])
  t.deepEqual(described(library), [])
  t.deepEqual(described(seam), [])
})

test('every method has an example', (t) => {
  const methods = [entry, gdb, library]
    .flatMap(exportsOf)
    .map(resolved)
    .flatMap(members)
    .filter(([name, { flags }]) => flags & ts.SymbolFlags.Method && !/ispose/.test(name))
  t.true(methods.length > 25)
  t.deepEqual(
    methods.flatMap(([name, method]) => (has(method, 'example') ? [] : [name])),
    [],
  )
})

const codes = (): string[] => {
  const symbol = exportsOf(entry).find(({ name }) => name === 'ErrorCode')!
  const type = checker.getDeclaredTypeOfSymbol(resolved(symbol)) as ts.UnionType
  return type.types.map((one) => (one as ts.StringLiteralType).value)
}

test('ErrorCode explains every code, once and in order', (t) => {
  const symbol = exportsOf(entry).find(({ name }) => name === 'ErrorCode')!
  const explained = [...textOf(resolved(symbol)).matchAll(/^\| `(ERR_\w+)`/gm)]
  t.deepEqual(
    explained.map(([, code]) => code),
    codes(),
  )
})

test('comments and documents name only codes that exist', (t) => {
  const all = repositoryFiles()
  const files = all.filter(({ path }) =>
    /^(packages\/(fleet|manager)\/)?src\/.*\.ts$|\.md$/.test(path),
  )
  const { text: errors } = all.find(({ path }) => path.endsWith('/src/supervisor/errors.ts'))!
  const ofManager = [...errors.matchAll(/^ {2}\| '(ERR_\w+)'$/gm)].map(([, code = '']) => code)
  const known = new Set([...codes(), ...ofManager, 'ERR_NOT_INSTALLED'])
  const wrong = files.flatMap(({ path, text }) =>
    [...text.matchAll(/`(ERR_\w+)`/g)].flatMap(([, code = '']) =>
      known.has(code) ? [] : [`${path}: ${code}`],
    ),
  )
  t.deepEqual(wrong, [])
})
