import type { Shape } from './shapes.ts'
import { elements, type XmlElement } from './document/tree.ts'

/**
 * What `fresh` says, at the places of `kept`, with everything of `kept` that is not ours. Reading
 * our words of the result gives what reading those of `fresh` gives.
 */
export function merged(kept: XmlElement, fresh: XmlElement, shape: Shape): XmlElement {
  const ours = new Set(shape.attributes)
  const attributes = new Map(
    [...kept.attributes].filter(([key]) => !ours.has(key) || fresh.attributes.has(key)),
  )
  for (const [key, value] of fresh.attributes) attributes.set(key, value)
  return { name: fresh.name, attributes, children: mergedChildren(kept, fresh, shape) }
}

function mergedChildren(
  kept: XmlElement,
  fresh: XmlElement,
  shape: Shape,
): (XmlElement | string)[] {
  // The text of a word is the definition's. No word of ours has both text and elements.
  if (fresh.children.some((child) => typeof child === 'string')) return fresh.children
  const shapes = new Map(Object.entries(shape.children ?? {}))
  const isOurs = (child: XmlElement): boolean => {
    const its = shapes.get(child.name)
    return its !== undefined && (its.isOurs?.(child) ?? true)
  }
  const before = elements(kept).filter(isOurs)
  const after = elements(fresh).map((child) => {
    const its = shapes.get(child.name) ?? {}
    const match = takeMatch(before, child, its)
    return match === undefined ? child : merged(match, child, its)
  })
  return placed(kept, after, isOurs)
}

/** Takes the element that is the same thing as `child` out of `before`. */
function takeMatch(before: XmlElement[], child: XmlElement, its: Shape): XmlElement | undefined {
  const key = its.key?.(child)
  const index = before.findIndex((one) => one.name === child.name && its.key?.(one) === key)
  return index < 0 ? undefined : before.splice(index, 1)[0]
}

/** Those of a name in their own order, at the places that this name had. */
function placed(
  kept: XmlElement,
  after: readonly XmlElement[],
  isOurs: (child: XmlElement) => boolean,
): (XmlElement | string)[] {
  const waiting = [...after]
  const children: (XmlElement | string)[] = []
  for (const child of kept.children) {
    // Text where the definition has none is nobody's.
    if (typeof child === 'string') continue
    if (!isOurs(child)) {
      children.push(child)
      continue
    }
    const index = waiting.findIndex((one) => one.name === child.name)
    if (index >= 0) children.push(...waiting.splice(index, 1))
  }
  for (const one of waiting) {
    const previous = after[after.indexOf(one) - 1]
    children.splice(previous === undefined ? 0 : children.indexOf(previous) + 1, 0, one)
  }
  return children
}
