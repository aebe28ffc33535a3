import { XMLParser, XMLValidator } from 'fast-xml-parser'

import { isSayable, unescape } from './characters.ts'
import { refuse, shown } from './refuse.ts'
import type { XmlElement } from './tree.ts'

/** Characters of a document. Those that virt-install writes have some thousands. */
export const MAX_CHARACTERS = 256 * 1024

/** Elements within each other. libvirt's own go to about ten. */
export const MAX_DEPTH = 32

/** Elements of a document. */
export const MAX_ELEMENTS = 4096

/** Attributes of an element. */
const MAX_ATTRIBUTES = 64

const attributesKey = ':@'
const textKey = '#text'

/** What the parser gives for an element: one key that is its name, and one with its attributes. */
type Parsed = Readonly<Record<string, unknown>>

const parser = new XMLParser({
  preserveOrder: true,
  ignoreAttributes: false,
  attributeNamePrefix: '',
  parseTagValue: false,
  parseAttributeValue: false,
  trimValues: false,
  ignoreDeclaration: true,
  ignorePiTags: true,
  maxNestedTags: MAX_DEPTH,
  processEntities: false,
  cdataPropName: '#cdata',
})

/** Reads a document. Its root must have the name that is given. */
export function parseXml(text: string, root: string): XmlElement {
  check(text)
  const tops = parsed(text).filter((one) => nameOf(one) !== textKey)
  const [top, further] = tops
  if (top === undefined || further !== undefined) return refuse('a document has one root element')
  const budget = { elements: MAX_ELEMENTS }
  const made = elementOf(top, 1, budget)
  if (made.name === root) return made
  return refuse(`the root element must be <${root}>, got <${made.name}>`)
}

function check(text: string): void {
  if (text.length > MAX_CHARACTERS) {
    refuse(`a document has at most ${MAX_CHARACTERS} characters, this one ${text.length}`)
  }
  if (!isSayable(text)) refuse('the document has characters that XML does not know')
  if (text.trim() === '') refuse('the document is empty')
  if (/<!(DOCTYPE|ENTITY|ELEMENT|ATTLIST|NOTATION)/i.test(text)) {
    refuse('a document declares no types and no entities')
  }
  // Each element has at least one. It keeps long ones from the parser, which knows no such bound.
  if (text.split('<', 4 * MAX_ELEMENTS + 1).length > 4 * MAX_ELEMENTS) tooMany()
  const verdict = XMLValidator.validate(text)
  if (verdict === true) return
  const { msg, line, col } = verdict.err
  refuse(`line ${line}, column ${col}: ${msg}`)
}

function tooMany(): never {
  return refuse(`a document has at most ${MAX_ELEMENTS} elements`)
}

function parsed(text: string): Parsed[] {
  try {
    return parser.parse(text) as Parsed[]
  } catch (error) {
    return refuse(error instanceof Error ? error.message : String(error))
  }
}

function nameOf(one: Parsed): string {
  return Object.keys(one).find((key) => key !== attributesKey) ?? ''
}

function elementOf(one: Parsed, depth: number, budget: { elements: number }): XmlElement {
  const name = checkName(nameOf(one))
  budget.elements -= 1
  if (budget.elements < 0) tooMany()
  if (depth > MAX_DEPTH) refuse(`a document has elements in each other up to ${MAX_DEPTH}`)
  const attributes = Object.entries((one[attributesKey] ?? {}) as Record<string, string>)
  if (attributes.length > MAX_ATTRIBUTES) {
    refuse(`<${name}> has ${attributes.length} attributes, at most ${MAX_ATTRIBUTES}`)
  }
  const children = one[name] as Parsed[]
  return {
    name,
    attributes: new Map(attributes.map(([key, value]) => [checkName(key), unescape(value)])),
    children: tidy(children.map((child) => childOf(child, depth, budget))),
  }
}

function childOf(child: Parsed, depth: number, budget: { elements: number }): XmlElement | string {
  const name = nameOf(child)
  if (name === textKey) return unescape(String(child[textKey]))
  if (name !== '#cdata') return elementOf(child, depth + 1, budget)
  return (child[name] as Parsed[]).map((part) => String(part[textKey])).join('')
}

/** Without the white space that only indents; pieces of text that follow each other are one. */
function tidy(children: readonly (XmlElement | string)[]): (XmlElement | string)[] {
  const tidied: (XmlElement | string)[] = []
  for (const child of children) {
    const last = tidied.at(-1)
    if (typeof child === 'string' && typeof last === 'string') {
      tidied[tidied.length - 1] = last + child
    } else {
      tidied.push(child)
    }
  }
  const indents = tidied.some((child) => typeof child !== 'string')
  return tidied.filter((child) => child !== '' && !(indents && isBlank(child)))
}

function isBlank(child: XmlElement | string): boolean {
  return typeof child === 'string' && child.trim() === ''
}

function checkName(name: string): string {
  return /^[A-Za-z_][\w.:-]{0,127}$/.test(name) ? name : refuse(`${shown(name)} is no name`)
}
