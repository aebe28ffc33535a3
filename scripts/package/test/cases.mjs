// What the cases share: users, programs of ours that they run, and reasons to skip.
import assert from 'node:assert/strict'
import { copyFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Skip } from '../../cases.mjs'
import { kvmProblem } from '../../setup/tools.mjs'

/** What `module.mjs` and `script.cjs` say. */
export const TOLD = 'hlt hlt "Hello, world!\\n" 42\n'

/** For cases that run a machine; with VMEXIT_REQUIRE_KVM=1, set-up has failed before. */
export function needsKvm() {
  const problem = kvmProblem()
  if (problem !== undefined) throw new Skip(problem)
}

/** The path of a program of ours. */
export const programOf = (name) => fileURLToPath(new URL(`programs/${name}`, import.meta.url))

/** Copies programs of ours into the user's folder. */
export function give(user, ...names) {
  for (const name of names) copyFileSync(programOf(name), join(user.folder, name))
}

/** What a program of ours that runs a machine says, started by `words` and given more. */
export async function tell(user, name, words = ['node'], more = []) {
  needsKvm()
  give(user, name)
  return user.run([...words, name, ...more])
}

/** A case: the program says what it should. */
export const tells =
  (name, words, expected = TOLD) =>
  async (user) =>
    assert.equal(await tell(user, name, words), expected)

/** The user with this Node.js version, in whose folder the package is installed. */
export function userOf({ users }, major) {
  const user = users.find((entry) => entry.major === major)
  assert.ok(user, 'the package is not installed')
  return user
}

/** Names cases after what they run on, and hands each its user. */
export const casesOn = (on, user, cases) =>
  Object.fromEntries(
    Object.entries(cases).map(([title, body]) => [`${on}: ${title}`, () => body(user())]),
  )

/** The cases that `make` returns, for each Node.js version. */
export const onEach = (context, make, versions = context.nodes) =>
  Object.assign(
    {},
    ...versions.map((version) =>
      casesOn(`Node.js ${version.major}`, () => userOf(context, version.major), make(version)),
    ),
  )
