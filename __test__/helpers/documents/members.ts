// Members of the API that documents name on a value: `vm.counters().network`.
import ts from 'typescript'

import type { SourceFile } from '../architecture/files.ts'
import { spansOf } from './text.ts'

/** What values are called in documents, and their types. */
const receivers: Readonly<Record<string, readonly string[]>> = {
  vm: ['VirtualMachine'],
  result: ['RunResult', 'ProcessResult'],
  context: ['DeviceContext', 'ExitContext'],
  snapshot: ['Snapshot'],
  trace: ['Trace'],
  profile: ['Profile'],
  fault: ['Fault'],
  gdb: ['GdbServer'],
  lib: ['Library'],
  p: ['Process'],
}

/** Whether the members of a type are the caller's to say. */
const isOpen = (type: ts.Type): boolean =>
  (type.flags & (ts.TypeFlags.Any | ts.TypeFlags.Instantiable)) !== 0 ||
  ((type as ts.ObjectType).objectFlags & ts.ObjectFlags.Mapped) !== 0

const entries = ['src/index.ts', 'src/gdb/index.ts', 'src/process/index.ts']

const isFile = /^\w+\.(c|cpp|rs|zig|elf|o|S|ts)$/

/** `await vm.serial.on('data', f).x` is vm, serial, on(), x; nothing, if it is more than that. */
function partsOf(code: string): string[] {
  let plain = code.replace(/^await /, '')
  for (let before = ''; before !== plain;) {
    before = plain
    // The innermost parentheses first; what is left marks a call.
    plain = plain.replaceAll(/\([^()]*[^()&][^()]*\)|\(\)/g, '&')
  }
  return /^\w+(\.\w+&?)+$/.test(plain) && !isFile.test(plain) ? plain.split('.') : []
}

/** The members of types, by the compiler. */
export function memberCheck(): (code: string) => boolean {
  const program = ts.createProgram([...entries], {
    module: ts.ModuleKind.NodeNext,
    target: ts.ScriptTarget.ES2022,
    strict: true,
  })
  const checker = program.getTypeChecker()
  const exported = entries.flatMap((path) =>
    checker.getExportsOfModule(checker.getSymbolAtLocation(program.getSourceFile(path)!)!),
  )
  const typeOf = (name: string): ts.Type[] =>
    exported
      .filter((symbol) => symbol.name === name)
      .map((symbol) =>
        symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol,
      )
      .map((symbol) => checker.getDeclaredTypeOfSymbol(symbol))
  const alternatives = (type: ts.Type): readonly ts.Type[] => {
    const sure = checker.getNonNullableType(type)
    return sure.isUnion() ? sure.types : [sure]
  }
  const member = (type: ts.Type, part: string): ts.Type[] =>
    alternatives(type).flatMap((each) => {
      const property = checker.getPropertyOfType(
        checker.getApparentType(each),
        part.replace('&', ''),
      )
      if (!property) return []
      const found = checker.getTypeOfSymbol(property)
      if (!part.endsWith('&')) return [found]
      const results = alternatives(found).flatMap((one) => one.getCallSignatures())
      return results.map((signature) => {
        const result = signature.getReturnType()
        return checker.getAwaitedType(result) ?? result
      })
    })
  return (code) => {
    const [receiver = '', ...parts] = partsOf(code)
    const types = receivers[receiver]?.flatMap(typeOf)
    if (types === undefined) return true
    let reached = types
    for (const part of parts) {
      if (reached.some(isOpen)) return true
      reached = reached.flatMap((type) => member(type, part))
    }
    return reached.length > 0
  }
}

/** Members that documents name and that the API has not. */
export function unknownMembers(
  { path, text }: SourceFile,
  isKnown: (code: string) => boolean,
): string[] {
  return spansOf(text)
    .filter((span) => !isKnown(span.text))
    .map((span) => `${path}:${span.line}: ${span.text}`)
}
