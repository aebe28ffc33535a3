/**
 * What a value of a definition must be. One table of these is the source of the check and of the
 * JSON schema.
 */
export type Rule =
  | AnyRule
  | TextRule
  | WordRule
  | FlagRule
  | NumberRule
  | ListRule
  | ObjectRule
  | EitherRule

interface Described {
  /** For readers of the schema, mainly in an editor. */
  readonly about?: string
}

/** Whatever: it is ignored. */
interface AnyRule extends Described {
  readonly kind: 'any'
}

/** Text. */
export interface TextRule extends Described {
  readonly kind: 'text'
  /** For messages, with a pattern. */
  readonly expected?: string
  readonly pattern?: RegExp
}

/** One of several values. */
export interface WordRule extends Described {
  readonly kind: 'word'
  readonly words: readonly (string | number | boolean)[]
}

/** `true` or `false`. */
interface FlagRule extends Described {
  readonly kind: 'flag'
}

/** A whole number. */
export interface NumberRule extends Described {
  readonly kind: 'number'
  readonly least: 0 | 1
  readonly most: bigint
  /** Whether it may be a string. */
  readonly text: boolean
  /** Whether it becomes a bigint. */
  readonly wide?: boolean
}

/** An array. */
interface ListRule extends Described {
  readonly kind: 'list'
  readonly most: number
  readonly of: Rule
}

/** An object whose keys are all known. */
export interface ObjectRule extends Described {
  readonly kind: 'object'
  readonly keys: Readonly<Record<string, Rule>>
  readonly required?: readonly string[]
  /** Of these exactly one is there. */
  readonly either?: readonly [string, string]
  /** Keys that are there only beside another one. */
  readonly beside?: Readonly<Record<string, string>>
  /** A key that is there if, and only if, another one has this value. */
  readonly needed?: { readonly key: string; readonly where: string; readonly is: string }
}

/** A string that is one of several words, or an object. */
export interface EitherRule extends Described {
  readonly kind: 'either'
  readonly word: WordRule
  readonly object: ObjectRule
}
