// Where the Markdown files and the doc comments of a package point to.
import { posix } from 'node:path'

/** Relative links of a Markdown text, as paths in the package, without fragments. */
export function linksOf(path, markdown) {
  const text = markdown.replace(/^```.*?^```$/gms, '')
  return [...text.matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, target]) => target.split('#')[0])
    .filter((target) => target !== '' && !/^[a-z]+:/.test(target))
    .map((target) => posix.join(posix.dirname(path), target))
}

/** Files that a text names by their path from the root: `examples/exit-loop.ts`. */
export const namesOf = (text) => [
  ...new Set(text.match(/\b(docs|examples|guest|bench)\/[\w-]+\.(md|ts|c)\b/g)),
]

/** What `files`, by path, point to that is not among them, one line each. */
export function brokenLinks(files) {
  const paths = [...files.keys()]
  const isThere = (target) =>
    files.has(target) || paths.some((path) => path.startsWith(`${target.replace(/\/$/, '')}/`))
  return [...files].flatMap(([path, text]) => {
    const targets = path.endsWith('.md') ? linksOf(path, text) : []
    const isPublic = /^(README|docs\/\w+)\.md$|\.d\.c?ts$/.test(path)
    const wanted = [...targets, ...(isPublic ? namesOf(text) : [])]
    return wanted.filter((target) => !isThere(target)).map((target) => `${path}: ${target}`)
  })
}
