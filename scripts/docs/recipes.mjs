// The recipes of the cookbook: each a header that says what it does, needs and prints, and the code.
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'

const FOLDER = 'examples/cookbook'

function recipeOf(root, group, file) {
  const path = `${FOLDER}/${group}/${file}`
  const text = readFileSync(join(root, path), 'utf8')
  const header = text.match(/^(\/\/.*\n)*/)[0]
  const code = text.slice(header.length)
  const [, title = ''] = /^\/\/ (.*)/.exec(header) ?? []
  const [, needs] = /^\/\/ needs: (.*)/m.exec(header) ?? []
  const [, output = ''] = /^\/\/ prints: (.*)/ms.exec(header) ?? []
  return {
    path,
    title,
    /** Programs, by name or path. */
    needs: [...(needs?.split(', ') ?? []), ...(code.includes('assembleSync') ? ['as', 'ld'] : [])],
    output: output.replaceAll(/^\/\/ {9}/gm, ''),
    code,
  }
}

/** Groups by name, each with its recipes. */
export function recipesIn(root) {
  const groups = readdirSync(join(root, FOLDER)).toSorted()
  return new Map(
    groups.map((group) => [
      group,
      readdirSync(join(root, FOLDER, group))
        .filter((file) => file.endsWith('.ts'))
        .toSorted()
        .map((file) => recipeOf(root, group, file)),
    ]),
  )
}

/** The first program of those that a recipe needs that is not here. */
export const missingFor = ({ needs }) => needs.find((need) => !isHere(need))

function isHere(need) {
  if (need.startsWith('/')) return existsSync(need)
  return (process.env.PATH ?? '').split(':').some((folder) => existsSync(join(folder, need)))
}

/** Whether a text is what was promised, where … is any text within a line. */
export function isAs(text, promise) {
  const parts = promise.split('…').map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&'))
  return new RegExp(`^${parts.join('.*')}$`).test(text)
}

/** Whether a recipe has printed what it promises, as a terminal shows it: a line that begins anew replaces what it was. */
export const keeps = ({ output }, printed) => isAs(printed.replaceAll(/^.*\r(?!\n)/gm, ''), output)
