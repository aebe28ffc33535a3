// Rules over src/: its arrows, and the two files that alone may do something.
import { join } from 'node:path/posix'
import type { SourceFile } from './files.ts'
import { factsOf, resolveImport } from './typescript-source.ts'

const THROWS = 'src/native/errors.ts'
/** The loader, and the types of the seam for files that must not depend on it. */
const NAME_THE_ADDON = ['src/native/native.ts', 'src/native/seam.ts']

/** The folders of src/, from the ground up: each imports from itself and from what is below it. */
const LAYERS = [
  ...['native', 'results', 'options', 'definition', 'machine'],
  ...['index.ts', 'bench', 'cli'],
]

const layerOf = (path: string): number => {
  const layer = LAYERS.indexOf(path.split('/')[1] as string)
  return layer < 0 ? LAYERS.length : layer
}

const inSource = ({ path }: SourceFile): boolean => /^src\/.*\.ts$/.test(path)

/** The loader and the seam's types lie in the root, the addon beside them. */
function namesAddon(from: string, text: string): boolean {
  if (text.endsWith('.node')) return true
  return (
    text.startsWith('.') &&
    /^(index(\.d)?(\.[jt]s)?|native(\.d)?\.c[jt]s)$/.test(join(from, '..', text))
  )
}

export function sourceImports(files: SourceFile[]): string[] {
  const paths = new Set(files.map(({ path }) => path))
  return files.filter(inSource).flatMap((file) =>
    factsOf(file).imports.flatMap(({ text, line }) => {
      const at = `${file.path}:${line}: imports '${text}'`
      if (text.startsWith('node:')) return []
      if (!text.startsWith('.')) return [`${at}; src/ uses Node's built-ins and its own files only`]
      if (namesAddon(file.path, text)) return []
      const target = resolveImport(file.path, text, paths)
      if (target === 'package.json') return []
      if (!target?.startsWith('src/')) return [`${at}, which is no file of src/`]
      const upwards = layerOf(target) > layerOf(file.path)
      return upwards ? [`${at}; the folders of src/ are ${LAYERS.join(', ')}, upwards`] : []
    }),
  )
}

export function addonLoads(files: SourceFile[]): string[] {
  return files
    .filter((file) => inSource(file) && !NAME_THE_ADDON.includes(file.path))
    .flatMap((file) =>
      factsOf(file)
        .strings.filter(({ text }) => namesAddon(file.path, text))
        .map(
          ({ text, line }) =>
            `${file.path}:${line}: '${text}' belongs in ${NAME_THE_ADDON.join(' or ')}`,
        ),
    )
}

export function throwStatements(files: SourceFile[]): string[] {
  return files
    .filter((file) => inSource(file) && file.path !== THROWS)
    .flatMap((file) =>
      factsOf(file).throws.map(({ line }) => `${file.path}:${line}: only ${THROWS} throws`),
    )
}
