// Modules that exist in memory only, judged by the TypeScript compiler.
import { dirname } from 'node:path'

import ts from 'typescript'

const options: ts.CompilerOptions = {
  strict: true,
  noEmit: true,
  // As Node.js has it, which runs the files as they are.
  allowImportingTsExtensions: true,
  skipLibCheck: false,
  // The oldest Node.js that is supported knows no `using`.
  target: ts.ScriptTarget.ES2022,
  lib: ['lib.es2023.d.ts', 'lib.esnext.disposable.d.ts'],
  types: ['node'],
  module: ts.ModuleKind.NodeNext,
  moduleResolution: ts.ModuleResolutionKind.NodeNext,
}

/** What does not compile in modules, by file name. */
export function compile(modules: ReadonlyMap<string, string>): Map<string, string[]> {
  const host = ts.createCompilerHost(options)
  const { fileExists, readFile } = host
  const folders = new Set([...modules.keys()].map((name) => dirname(name)))
  host.fileExists = (name) => modules.has(name) || fileExists(name)
  host.directoryExists = (name) => folders.has(name) || ts.sys.directoryExists(name)
  host.readFile = (name) => modules.get(name) ?? readFile(name)
  const program = ts.createProgram([...modules.keys()], options, host)
  const errors = new Map<string, string[]>()
  for (const { file, messageText } of ts.getPreEmitDiagnostics(program)) {
    const name = file?.fileName ?? ''
    const text = ts.flattenDiagnosticMessageText(messageText, '\n')
    errors.set(name, [...(errors.get(name) ?? []), text])
  }
  return errors
}
