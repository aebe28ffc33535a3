// The recipes of the cookbook, copied by a user of the packed package: by the oldest Node.js, where TypeScript takes tsx, and by the newest.
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { keeps, missingFor, recipesIn } from '../../../docs/recipes.mjs'
import { attempt, root } from '../../../run.mjs'
import { needsKvm } from '../cases.mjs'
import { folderOf, needsTsx, tsxOf, versionsOf } from './reader.mjs'

const SECONDS = 600

/** A worker of its own does not find tsx by itself there, as the page says. */
const WORKER = 'machines/worker.ts'
const FINDS_TSX = 22

/** What a recipe prints, started as the cookbook says. */
async function printed({ code }, cwd, context, version) {
  writeFileSync(join(cwd, 'main.ts'), code)
  const tsx = needsTsx(version) ? [tsxOf(context)] : []
  const ran = await attempt([version.node, ...tsx, 'main.ts'], { cwd, seconds: SECONDS })
  assert.deepEqual([ran.code, ran.stderr], [0, ''], ran.stderr)
  return ran.stdout
}

async function follow(recipes, cwd, context, version) {
  needsKvm()
  const skipped = []
  for (const recipe of recipes) {
    const isLost = recipe.path.endsWith(WORKER) && version.major < FINDS_TSX
    const missing = isLost ? 'tsx in a worker' : missingFor(recipe)
    if (missing !== undefined) skipped.push(`${recipe.path}: no ${missing}`)
    else {
      const said = await printed(recipe, cwd, context, version)
      if (!keeps(recipe, said)) assert.equal(said, recipe.output, recipe.path)
    }
  }
  return [`${recipes.length - skipped.length} recipes ran`, ...skipped].join('; ')
}

function casesOf(context, version) {
  return Array.from(recipesIn(root), ([group, recipes]) => [
    `Node.js ${version.major}: docs/cookbook/${group}.md is what happens`,
    async () => follow(recipes, await folderOf(context, version), context, version),
  ])
}

export const cookbookCases = (context) =>
  Object.fromEntries(versionsOf(context).flatMap((version) => casesOf(context, version)))
