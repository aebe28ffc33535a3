// What the rules ask of a TypeScript or JavaScript file, read with the compiler's own parser.
import { dirname, join } from 'node:path/posix'
import ts from 'typescript'
import type { Graph } from './graph.ts'
import type { FunctionSpan, SourceFile } from './files.ts'

interface Place {
  text: string
  line: number
}

export interface Facts {
  /** Specifiers of static and dynamic imports, re-exports and `require`. */
  imports: Place[]
  /** Every string literal, as an addon can also be loaded through a variable. */
  strings: Place[]
  throws: Place[]
  functions: FunctionSpan[]
}

function importSpecifier(node: ts.Node): ts.Expression | undefined {
  if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) return node.moduleSpecifier
  if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) {
    return ts.isStringLiteral(node.argument.literal) ? node.argument.literal : undefined
  }
  if (!ts.isCallExpression(node)) return undefined
  const callee = node.expression
  const loads =
    callee.kind === ts.SyntaxKind.ImportKeyword ||
    (ts.isIdentifier(callee) && callee.text === 'require') ||
    (ts.isCallExpression(callee) && callee.expression.getText().endsWith('createRequire'))
  return loads ? node.arguments[0] : undefined
}

function functionName(node: ts.SignatureDeclaration): string {
  if (node.name !== undefined) return node.name.getText()
  const { parent } = node
  return ts.isVariableDeclaration(parent) || ts.isPropertyAssignment(parent)
    ? parent.name.getText()
    : 'function'
}

export function factsOf({ path, text }: SourceFile): Facts {
  const source = ts.createSourceFile(path, text, ts.ScriptTarget.ESNext, true)
  const lineOf = (position: number): number =>
    source.getLineAndCharacterOfPosition(position).line + 1
  const facts: Facts = { imports: [], strings: [], throws: [], functions: [] }

  function visit(node: ts.Node): void {
    const line = lineOf(node.getStart())
    const specifier = importSpecifier(node)
    if (specifier !== undefined && ts.isStringLiteralLike(specifier)) {
      facts.imports.push({ text: specifier.text, line })
    }
    if (ts.isStringLiteralLike(node)) facts.strings.push({ text: node.text, line })
    if (ts.isThrowStatement(node)) facts.throws.push({ text: node.getText(), line })
    if (ts.isFunctionLike(node) && 'body' in node && node.body !== undefined) {
      facts.functions.push({
        name: functionName(node),
        line,
        lines: lineOf(node.getEnd()) - line + 1,
      })
    }
    ts.forEachChild(node, visit)
  }

  visit(source)
  return facts
}

/** The repository path that a relative specifier names, or undefined if there is no such file. */
export function resolveImport(from: string, specifier: string, paths: Set<string>) {
  const target = join(dirname(from), specifier)
  const candidates = [target, target.replace(/\.js$/, '.ts'), `${target}/index.ts`]
  return candidates.find((path) => paths.has(path))
}

/** Type-only imports count: a cycle of types is a cycle of ideas. */
export function importGraph(files: SourceFile[]): Graph {
  const paths = new Set(files.map(({ path }) => path))
  return new Map(
    files.map((file) => {
      const targets = factsOf(file)
        .imports.filter(({ text }) => text.startsWith('.'))
        .map(({ text }) => resolveImport(file.path, text, paths))
        .filter((path) => path !== undefined)
      return [file.path, new Set(targets)]
    }),
  )
}
