import { refuse, shown } from './refuse.ts'

/** An element of a document. */
export interface XmlElement {
  /** Its name, with its prefix. */
  readonly name: string
  /** Its attributes in their order. */
  readonly attributes: Map<string, string>
  /** Elements and text in their order. */
  readonly children: (XmlElement | string)[]
}

/** Attributes of {@link element}; one that is undefined is left out. */
export type Attributes = Readonly<Record<string, string | number | undefined>>

/** Makes an element; children that are undefined are left out. */
export function element(
  name: string,
  attributes: Attributes = {},
  ...children: readonly (XmlElement | string | undefined)[]
): XmlElement {
  const given = Object.entries(attributes).filter(([, value]) => value !== undefined)
  return {
    name,
    attributes: new Map(given.map(([key, value]) => [key, String(value)])),
    children: children.filter((child) => child !== undefined),
  }
}

/** The elements among the children. */
export function elements(parent: XmlElement): XmlElement[] {
  return parent.children.filter((child) => typeof child !== 'string')
}

/** The children of a name. */
export function all(parent: XmlElement | undefined, name: string): XmlElement[] {
  return parent === undefined ? [] : elements(parent).filter((child) => child.name === name)
}

/** The first child of a name. */
export function first(parent: XmlElement | undefined, name: string): XmlElement | undefined {
  return all(parent, name)[0]
}

/** The only child of a name; several are an error. */
export function only(parent: XmlElement | undefined, name: string): XmlElement | undefined {
  const [found, further] = all(parent, name)
  return further === undefined ? found : refuse(`<${name}> stands more than once`)
}

/** The text of an element without elements. */
export function textOf(one: XmlElement | undefined): string | undefined {
  if (one === undefined) return undefined
  if (elements(one).length > 0) return refuse(`<${one.name}> has elements, and should be text`)
  return one.children.join('')
}

/** An attribute, of an element that may be missing. */
export function attribute(one: XmlElement | undefined, name: string): string | undefined {
  return one?.attributes.get(name)
}

/** A whole number, from `least` to `most`, by decimal digits. */
export function wholeNumber(what: string, text: string, least: number, most: number): number {
  const value = /^\s*\d{1,16}\s*$/.test(text) ? Number(text) : Number.NaN
  if (value >= least && value <= most) return value
  return refuse(`${what} must be a whole number from ${least} to ${most}, got ${shown(text)}`)
}
