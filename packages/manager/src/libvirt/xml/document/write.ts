import { escapeAttribute, escapeText } from './characters.ts'
import type { XmlElement } from './tree.ts'

/** An element as text, indented by two spaces, with a line feed at its end. */
export function writeXml(one: XmlElement, indent = ''): string {
  const attributes = [...one.attributes].map(
    ([key, value]) => ` ${key}='${escapeAttribute(value)}'`,
  )
  const head = `${indent}<${one.name}${attributes.join('')}`
  if (one.children.length === 0) return `${head}/>\n`
  const tail = `</${one.name}>\n`
  if (one.children.some((child) => typeof child === 'string')) {
    return `${head}>${one.children.map(inline).join('')}${tail}`
  }
  const inside = one.children.map((child) =>
    typeof child === 'string' ? child : writeXml(child, `${indent}  `),
  )
  return `${head}>\n${inside.join('')}${indent}${tail}`
}

/** A child where text stands beside elements: nothing may be added. */
function inline(child: XmlElement | string): string {
  return typeof child === 'string' ? escapeText(child) : writeInline(child)
}

function writeInline(one: XmlElement): string {
  const attributes = [...one.attributes].map(
    ([key, value]) => ` ${key}='${escapeAttribute(value)}'`,
  )
  const head = `<${one.name}${attributes.join('')}`
  return one.children.length === 0
    ? `${head}/>`
    : `${head}>${one.children.map(inline).join('')}</${one.name}>`
}
