// A user's empty folder, on a machine that has Node.js, npm and a shell, and no compiler.
import { mkdirSync, realpathSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { attempt, must, run } from '../run.mjs'
import { temporaryDirectory } from '../scope.mjs'

/** npm's own programs, which run on any Node.js that we support. */
export function npmPrograms() {
  const cli = process.env.npm_execpath ?? realpathSync(must(['which', 'npm']).trim())
  return { npm: join(dirname(cli), 'npm-cli.js'), npx: join(dirname(cli), 'npx-cli.js') }
}

/**
 * `attempt` and `run` take the words of a command, and where it runs; neither PATH nor environment come from this
 * process. `programs` are further ones that the machine has, by name.
 */
export function newUser({ node, registry, programs = {} }) {
  const home = temporaryDirectory()
  const [bin, folder] = [join(home, 'bin'), join(home, 'project')]
  mkdirSync(bin)
  mkdirSync(folder)
  for (const [name, path] of Object.entries({
    node,
    sh: '/bin/sh',
    ...npmPrograms(),
    ...programs,
  })) {
    symlinkSync(path, join(bin, name))
  }
  // An empty folder as `npm init` leaves it: without a manifest npm looks for one further up.
  writeFileSync(join(folder, 'package.json'), '{ "name": "user", "private": true }\n')
  const env = {
    PATH: bin,
    HOME: home,
    npm_config_registry: registry,
    npm_config_engine_strict: 'true',
    npm_config_update_notifier: 'false',
  }
  // Found through the PATH given here, not through ours, or given with its path.
  const through = ([command, ...args]) => [resolve(bin, command), ...args]
  return {
    folder,
    env,
    attempt: (words, cwd = folder) => attempt(through(words), { cwd, env }),
    run: (words, cwd = folder) => run(through(words), { cwd, env }),
  }
}
