// machine.schema.json, made from the table that checks definitions: `--write` writes it, otherwise
// it must be current.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { schemaOf } from '../dist/definition/schema.js'
import { machineRule } from '../dist/definition/table.js'
import { root } from './run.mjs'

const path = join(root, 'machine.schema.json')
const text = `${JSON.stringify(schemaOf(machineRule), null, 2)}\n`

if (process.argv.includes('--write')) writeFileSync(path, text)
else if (readFileSync(path, 'utf8') !== text) {
  console.log('machine.schema.json is not current: run `npm run schema` and commit it')
  process.exitCode = 1
}
