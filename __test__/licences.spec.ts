// The rules of the licence checks in `npm run check`.
import { readFileSync } from 'node:fs'

import test from 'ava'

const { licenceProblems } = (await import(
  new URL('../scripts/licences.mjs', import.meta.url).href
)) as { licenceProblems: (lock: { packages: object }) => string[] }

test('npm packages of the wrong licence or kind are named', (t) => {
  const packages = {
    '': { dependencies: { runtime: '1' } },
    'node_modules/tool': { dev: true, license: 'BlueOak-1.0.0' },
    'node_modules/tool/node_modules/choice': { dev: true, license: '(MIT OR GPL-3.0)' },
    'node_modules/both': { dev: true, license: '(MIT AND GPL-3.0)' },
    'node_modules/@a/copyleft': { dev: true, license: 'GPL-2.0-only' },
    'node_modules/@novnc/novnc': { dev: true, license: 'MPL-2.0' },
    'node_modules/other': { dev: true, license: 'MPL-2.0' },
    'node_modules/silent': { dev: true },
    'node_modules/runtime': { license: 'MIT' },
    'node_modules/ws': { license: 'MIT' },
    'node_modules/strnum': { license: 'ISC' },
    'node_modules/vmexit': { link: true, resolved: '' },
    'packages/manager': { name: '@vmexit/manager', license: '(MIT OR Apache-2.0)' },
    'packages/fleet': { name: '@vmexit/fleet', license: '(MIT OR Apache-2.0)' },
    'packages/other': { name: '@vmexit/other', license: 'MIT' },
  }
  t.deepEqual(licenceProblems({ packages }), [
    'npm runtime: a runtime dependency',
    'npm both: licence (MIT AND GPL-3.0) is not in the list',
    'npm @a/copyleft: licence GPL-2.0-only is not in the list',
    'npm other: licence MPL-2.0 is not in the list',
    'npm silent: licence none is not in the list',
    'npm runtime: a runtime dependency',
    'npm strnum: a runtime dependency',
    'npm @vmexit/other: a runtime dependency',
  ])
  // What the manager may bring, vmexit may not.
  t.deepEqual(licenceProblems({ packages: { '': { dependencies: { ws: '8' } } } }), [
    'npm ws: a runtime dependency',
  ])
})

test('package.json has no runtime dependencies', (t) => {
  const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8')
  t.is((JSON.parse(text) as { dependencies?: object }).dependencies, undefined)
})
