// The pages of docs/cookbook, held to the recipes of examples/cookbook: what a page shows is the
// file. `--write` copies the files into the pages and makes the index, otherwise both must be
// current. `--root DIR` looks at another tree.
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { root as repository } from '../run.mjs'
import { anchorOf } from './anchor.mjs'
import { recipesIn } from './recipes.mjs'

const MAX_LINES = 30
const MAX_FILES = 15
const INDEX = 'docs/cookbook/README.md'

const { values } = parseArgs({
  options: { write: { type: 'boolean', default: false }, root: { type: 'string' } },
})
const { write, root = repository } = values
const read = (path) => readFileSync(join(root, path), 'utf8')

/** What is wrong, one line each. */
const problems = []

/** What a recipe has to be. */
function checkRecipe({ path, code, output }) {
  const lines = code.trimEnd().split('\n').length
  if (lines > MAX_LINES) problems.push(`${path} has ${lines} lines, at most ${MAX_LINES}`)
  if (output.trim() === '') problems.push(`${path} does not say what it prints`)
}

/** A section with a recipe's code and output in the place of those that it has. */
function filled(section, { code, output }) {
  const blocks = `\`\`\`ts\n${code}\`\`\`\n\n\`\`\`text output\n${output}\`\`\`\n`
  // A function, since code may have what `replace` would take for a pattern.
  return section.replace(/^```ts\n.*?^```\n(\n```text output\n.*?^```\n)?/ms, () => blocks)
}

/** A page, as the recipes of its group have it. */
function pageOf(group, recipes) {
  const path = `docs/cookbook/${group}.md`
  const text = existsSync(join(root, path)) ? read(path) : ''
  const sections = text.split(/^(?=## )/m)
  const titleOf = (section) => /^## (.*)$/m.exec(section)?.[1]
  for (const { title, path: file } of recipes) {
    const section = sections.find((each) => titleOf(each) === title)
    if (!section?.includes('```ts\n')) problems.push(`${path} has no code under '## ${title}'`)
    else if (!section.includes(`(../../${file})`)) problems.push(`${path}: no link to ${file}`)
  }
  const wanted = sections.map((section) => {
    const recipe = recipes.find(({ title }) => title === titleOf(section))
    if (!recipe && section.includes('```ts\n'))
      problems.push(`${path}: no file is '${titleOf(section)}'`)
    return recipe ? filled(section, recipe) : section
  })
  const titles = sections.map(titleOf).filter((title) => title !== undefined)
  return { path, name: /^# (.*)$/m.exec(text)?.[1], text: wanted.join(''), titles }
}

const lowered = (title) => title[0].toLowerCase() + title.slice(1)

/** The list of all recipes, by what a reader wants. */
function indexOf(pages) {
  const lists = pages.map(({ path, name, titles }) => {
    const file = path.slice('docs/cookbook/'.length)
    const items = titles.map((title) => `- [${lowered(title)}](${file}#${anchorOf(title)})`)
    return `**[${name}](${file})**\n\n${items.join('\n')}\n`
  })
  const marked = `<!-- recipes -->\n\n${lists.join('\n')}\n<!-- end of recipes -->`
  return read(INDEX).replace(/<!-- recipes -->.*<!-- end of recipes -->/s, () => marked)
}

const groups = [...recipesIn(root)]
for (const [group, recipes] of groups) {
  recipes.forEach(checkRecipe)
  if (recipes.length > MAX_FILES)
    problems.push(`examples/cookbook/${group} has ${recipes.length} recipes, at most ${MAX_FILES}`)
}
const pages = groups.map(([group, recipes]) => pageOf(group, recipes))
const titles = pages.flatMap((page) => page.titles)
for (const title of new Set(titles))
  if (titles.indexOf(title) !== titles.lastIndexOf(title))
    problems.push(`'${title}' is there twice`)

for (const { path, text } of [...pages, { path: INDEX, text: indexOf(pages) }]) {
  if (existsSync(join(root, path)) && read(path) === text) continue
  if (write) writeFileSync(join(root, path), text)
  else problems.push(`${path} is not current: run \`node scripts/docs/cookbook.mjs --write\``)
}
if (problems.length > 0) console.log(problems.join('\n'))
process.exitCode = problems.length > 0 ? 1 : 0
