// src/native/words.generated.ts: the words of the seam as lists, since its declarations have them as types alone. Part
// of `npm run build:native`.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './run.mjs'

const declared = readFileSync(join(root, 'index.d.ts'), 'utf8')
const lists = ['Format', 'Mode', 'Privilege'].map((name) => {
  const [, words] = new RegExp(`^export type Native${name} = (.*)$`, 'm').exec(declared)
  return `/** Every ${name.toLowerCase()}. */
export const ${name.toLowerCase()}s: readonly Native${name}[] = [${words.replaceAll(' | ', ', ')}]
`
})
const text = `// Made of index.d.ts by scripts/words.mjs.
import type { NativeFormat, NativeMode, NativePrivilege } from './seam.ts'

${lists.join('')}`
writeFileSync(join(root, 'src/native/words.generated.ts'), text)
