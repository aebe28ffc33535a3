// src/native/words.generated.ts: the words of the seam as lists, since its declarations have them as types alone. Part
// of `npm run build:native`.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './run.mjs'

const declared = readFileSync(join(root, 'index.d.ts'), 'utf8')
const types = ['Ending', 'ExitReason', 'Faults', 'Format', 'Mode', 'Privilege']
const lists = types.map((name) => {
  const [, words] = new RegExp(`^export type Native${name} = (.*)$`, 'm').exec(declared)
  const isMany = name.endsWith('s')
  const plain = name.replace(/(?<=.)[A-Z]/g, (letter) => ` ${letter}`).toLowerCase()
  const what = isMany ? `word for ${plain}` : plain
  const list = `${name[0].toLowerCase()}${name.slice(1)}${isMany ? '' : 's'}`
  return `/** Every ${what}, in the seam's order. */
export const ${list}: readonly Native${name}[] = [${words.replaceAll(' | ', ', ')}]
`
})
const text = `// Made of index.d.ts by scripts/words.mjs.
import type { ${types.map((name) => `Native${name}`).join(', ')} } from './seam.ts'

${lists.join('')}`
writeFileSync(join(root, 'src/native/words.generated.ts'), text)
