// Each template as a user meets it: made, installed, started and tested, on the oldest Node.js and the newest.
import assert from 'node:assert/strict'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { Skip } from '../../../cases.mjs'
import { capture, root } from '../../../run.mjs'
import { newUser } from '../../user.mjs'
import { needsKvm, userOf } from '../cases.mjs'
import { versionsOf } from './reader.mjs'

/** What a compiler and an assembler are, on this host. */
const PROGRAMS = ['cc', 'as', 'ld', 'ld.bfd', 'prlimit']

/** A line that `npm start` prints. */
const PRINTS = {
  'boot-sector': /^ Hello from the boot sector\..*/m,
  'c-guest': /^2 3 5 7 11 .* 97$/m,
  'kernel-test': /^The kernel is up\./m,
  native: /^and again: 1 \+ 2 = 3$/m,
  device: /^A TEXT IN THE GUEST'S MEMORY$/m,
}

/** Paths of the programs that there are. */
function found(say) {
  const all = PROGRAMS.map((name) => [name, capture(['which', name])])
  const missing = all.filter(([, { ok }]) => !ok).map(([name]) => name)
  if (missing.length > 0) say(`templates: no ${missing.join(', ')} here`)
  return Object.fromEntries(
    all.filter(([, { ok }]) => ok).map(([name, { output }]) => [name, output.trim()]),
  )
}

/** Makes a project by the installed command line, installs what it asks for, starts and tests it. */
async function follow(context, version, name) {
  const maker = userOf(context, version.major)
  const programs = found(context.say)
  const { url: registry } = context.registry
  const user = newUser({ node: version.node, registry, programs })
  const folder = join(user.folder, 'made', name)
  const made = await maker.run(['npx', 'vmexit', 'new', name, folder])
  for (const step of ['npm install', 'npm start', 'npm test']) assert.ok(made.includes(step), made)
  await user.run(['npm', 'install'], folder)
  assert.ok(existsSync(join(folder, 'node_modules', 'vmexit', 'dist')))
  needsKvm()
  for (const needed of ['cc', 'as', 'ld'])
    if (!programs[needed]) throw new Skip(`no ${needed} here`)
  const started = await user.run(['npm', 'start'], folder)
  assert.match(started, PRINTS[name])
  const tested = await user.run(['npm', 'test'], folder)
  assert.match(tested, /^\D*pass [1-9]/m)
  assert.match(tested, /^\D*fail 0$/m)
}

/** Without a compiler and an assembler the projects say what to install. */
async function lacks(context, version, name, expected) {
  const user = userOf(context, version.major)
  const folder = join(user.folder, `without-${name}`)
  const made = await user.run(['npx', 'vmexit', 'new', name, folder])
  assert.match(made, expected)
  await user.run(['npm', 'install'], folder)
  const { code, stderr } = await user.attempt(['npm', 'start'], folder)
  assert.notEqual(code, 0)
  assert.match(stderr, expected)
}

export function templateCases(context) {
  const names = readdirSync(join(root, 'templates'))
  const versions = versionsOf(context)
  const cases = versions.flatMap((version) => [
    ...names.map((name) => [
      `Node.js ${version.major}: templates: ${name}`,
      () => follow(context, version, name),
    ]),
  ])
  const [oldest] = versions
  return Object.fromEntries([
    ...cases,
    ['templates: without cc', () => lacks(context, oldest, 'native', /cc.*apt install gcc/)],
    ['templates: without as', () => lacks(context, oldest, 'device', /as.*apt install binutils/)],
  ])
}
