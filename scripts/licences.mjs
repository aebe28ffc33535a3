// The licences of what is shipped and of what it is built and tested with. Vulnerabilities are another matter: see
// CONTRIBUTING.md.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { capture, root } from './run.mjs'
import { isAllowed } from './licences/spdx.mjs'

/** May become part of the package. */
const SHIPPED = ['MIT', 'Apache-2.0', 'BSD-2-Clause', 'BSD-3-Clause', 'ISC', '0BSD', 'Unicode-3.0']
/** Permissive too, for tools that stay here. */
const TOOLS = [...SHIPPED, 'BlueOak-1.0.0', 'CC0-1.0', 'Python-2.0', 'PSF-2.0']

const CRATES_IO = 'registry+https://github.com/rust-lang/crates.io-index'

const readJson = (path) => JSON.parse(readFileSync(join(root, path), 'utf8'))

/** Every package of the lock file, those of other platforms too, which are not installed here. */
function npmPackages() {
  const { packages } = readJson('package-lock.json')
  return Object.entries(packages)
    .filter(([path]) => path !== '')
    .map(([path, { dev = false, license }]) => {
      const manifest = join(path, 'package.json')
      const installed = existsSync(join(root, manifest)) ? readJson(manifest).license : undefined
      return { name: path.replace(/^.*node_modules\//, ''), dev, licence: installed ?? license }
    })
}

function cratePackages() {
  const command = ['cargo', 'metadata', '--format-version', '1', '--locked', '--quiet']
  const { ok, output } = capture(command)
  if (!ok) throw new Error(output)
  return JSON.parse(output).packages.map(({ name, license, source }) => ({
    name,
    licence: license,
    source,
  }))
}

/** One line for each package that may not be here. */
export function licenceProblems(npm, crates) {
  const allowed = (licence, list) =>
    typeof licence === 'string' && isAllowed(licence, new Set(list))
  const wrongTools = npm
    .filter(({ licence }) => !allowed(licence, TOOLS))
    .map(({ name, licence }) => `npm ${name}: licence ${licence} is not in the list`)
  const shipped = npm
    .filter(({ dev, name }) => !dev && !name.startsWith('vmexit-'))
    .map(({ name }) => `npm ${name}: this package has no runtime dependencies`)
  const wrongCrates = crates
    .filter(({ licence }) => !allowed(licence, SHIPPED))
    .map(({ name, licence }) => `crate ${name}: licence ${licence} is not in the list`)
  const foreign = crates
    .filter(({ source }) => source !== null && source !== CRATES_IO)
    .map(({ name, source }) => `crate ${name}: comes from ${source}`)
  return [...wrongTools, ...shipped, ...wrongCrates, ...foreign]
}

if (process.argv[1] === join(root, 'scripts', 'licences.mjs')) {
  const [npm, crates] = [npmPackages(), cratePackages()]
  const problems = licenceProblems(npm, crates)
  for (const line of problems) console.log(line)
  console.log(`${npm.length} npm packages, ${crates.length} crates: ${problems.length} problems`)
  process.exitCode = problems.length === 0 ? 0 : 1
}
