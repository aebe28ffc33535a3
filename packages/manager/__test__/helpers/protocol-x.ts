// Reads the language in which a protocol of remote procedure calls is described (RFC 4506 §6, as
// rpcgen takes it), as far as libvirt's uses it.
import type { Layout } from '../../src/libvirt/xdr/shapes.ts'

export interface Described {
  /** Layout of a type that has a name; `undefined` where there is no such type. */
  layout(name: string): Layout | undefined
  /** Number by name, without prefix, of each procedure. */
  readonly procedures: ReadonlyMap<string, number>
  /** What a procedure needs, as words such as `domain:write`. */
  readonly access: ReadonlyMap<string, readonly string[]>
}

type Definition =
  | { readonly kind: 'alias'; readonly line: string }
  | { readonly kind: 'struct'; readonly lines: readonly string[] }
  | { readonly kind: 'union'; readonly arms: readonly (readonly [string, string])[] }
  | { readonly kind: 'enum' }

/** Sizes that come from libvirt's headers. */
const SIZES: Readonly<Record<string, number>> = {
  VIR_UUID_BUFLEN: 16,
  VIR_SECURITY_MODEL_BUFLEN: 257,
  VIR_SECURITY_LABEL_BUFLEN: 4097,
  VIR_SECURITY_DOI_BUFLEN: 257,
}

const PLAIN: Readonly<Record<string, Layout>> = {
  int: { kind: 'int' },
  char: { kind: 'int' },
  short: { kind: 'int' },
  'unsigned short': { kind: 'uint' },
  unsigned: { kind: 'uint' },
  'unsigned int': { kind: 'uint' },
  'unsigned char': { kind: 'uint' },
  hyper: { kind: 'hyper' },
  'unsigned hyper': { kind: 'uhyper' },
  double: { kind: 'double' },
}

const FIELD =
  /^(?:struct )?(?<type>(?:unsigned )?\w+)\s+(?<star>\*?)\s*(?<name>\w+)(?:(?<open>[<[])(?<size>\w*)[>\]])?$/

/** Reads a file's text. */
export function readProtocol(source: string): Described {
  const { access, bare } = comments(source)
  const sizes = new Map(Object.entries(SIZES))
  for (const [, name = '', value = ''] of bare.matchAll(/\bconst (\w+)\s*=\s*(\w+);/g)) {
    sizes.set(name, sizes.get(value) ?? Number(value))
  }
  const definitions = definitionsOf(bare)
  const procedures = new Map(
    [...bare.matchAll(/\bREMOTE_PROC_(\w+) = (\d+)/g)].map(([, name = '', number]) => [
      name,
      Number(number),
    ]),
  )
  return { procedures, access, layout: layouts(definitions, sizes) }
}

/** Text without comments, and what the comments before procedures say. */
function comments(source: string) {
  const access = new Map<string, readonly string[]>()
  for (const [, comment = '', name = ''] of source.matchAll(
    /\/\*\*([^/]*?)\*\/\s*REMOTE_PROC_(\w+) = /g,
  )) {
    access.set(
      name,
      [...comment.matchAll(/@acl: (\S+)/g)].map(([, word = '']) => word),
    )
  }
  const bare = source.replace(/\/\*[\s\S]*?\*\//g, ' ').replace(/^%.*$/gm, '')
  return { access, bare }
}

function definitionsOf(bare: string): Map<string, Definition> {
  const found = new Map<string, Definition>()
  for (const [, line = ''] of bare.matchAll(/\btypedef ([^;{]+);/g)) {
    const name = FIELD.exec(line.trim())?.groups?.['name']
    if (name !== undefined) found.set(name, { kind: 'alias', line: line.trim() })
  }
  for (const [, name = ''] of bare.matchAll(/\benum (\w+)\s*\{/g)) found.set(name, { kind: 'enum' })
  for (const [, name = '', body = ''] of bare.matchAll(/\bstruct (\w+)\s*\{([^}]*)\};/g)) {
    const lines = body.split(';').map((line) => line.trim())
    found.set(name, { kind: 'struct', lines: lines.filter((line) => line !== '') })
  }
  for (const [, name = '', body = ''] of bare.matchAll(
    /\bunion (\w+) switch \([^)]*\)\s*\{([^}]*)\};/g,
  )) {
    const arms = [...body.matchAll(/case (\w+):\s*([^;]+);/g)]
    found.set(name, {
      kind: 'union',
      arms: arms.map(([, tag = '', line = '']) => [tag, line.trim()] as const),
    })
  }
  return found
}

/** virTypedParameterType, by which typed parameters are told apart. */
const TAGS: Readonly<Record<string, number>> = {
  VIR_TYPED_PARAM_INT: 1,
  VIR_TYPED_PARAM_UINT: 2,
  VIR_TYPED_PARAM_LLONG: 3,
  VIR_TYPED_PARAM_ULLONG: 4,
  VIR_TYPED_PARAM_DOUBLE: 5,
  VIR_TYPED_PARAM_BOOLEAN: 6,
  VIR_TYPED_PARAM_STRING: 7,
}

function layouts(definitions: ReadonlyMap<string, Definition>, sizes: ReadonlyMap<string, number>) {
  const sizeOf = (word: string): number =>
    word === '' ? 2 ** 32 - 1 : (sizes.get(word) ?? Number(word))

  function field(line: string): { name: string; layout: Layout } {
    const groups = FIELD.exec(line)?.groups
    if (groups === undefined) throw new Error(`a field that this does not read: '${line}'`)
    const { type = '', star, name = '', open, size = '' } = groups
    const bound = open === '[' ? { length: sizeOf(size) } : { max: sizeOf(size) }
    if (type === 'string') return { name, layout: { kind: 'string', max: sizeOf(size) } }
    if (type === 'opaque') return { name, layout: { kind: 'opaque', ...bound } }
    const inner = PLAIN[type] ?? layout(type)
    if (inner === undefined) throw new Error(`a type that is not there: ${type}`)
    if (star === '*') return { name, layout: { kind: 'optional', of: inner } }
    return { name, layout: open === undefined ? inner : { kind: 'array', of: inner, ...bound } }
  }

  function layout(name: string): Layout | undefined {
    const found = definitions.get(name)
    if (found === undefined) return undefined
    if (found.kind === 'enum') return { kind: 'int' }
    if (found.kind === 'alias') return field(found.line).layout
    if (found.kind === 'union') {
      const arms = found.arms.map(
        ([tag, line]) => [TAGS[tag] ?? Number(tag), field(line).layout] as const,
      )
      return { kind: 'union', arms }
    }
    const fields = found.lines.map((line) => field(line))
    return { kind: 'struct', fields: fields.map((each) => [each.name, each.layout] as const) }
  }
  return layout
}
