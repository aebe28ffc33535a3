// The licences of npm packages, those of other platforms included; deny.toml says which crates may be here.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Failure, root } from './run.mjs'

/** Permissive, for tools that stay here. */
const ALLOWED = new Set([
  ...['MIT', 'Apache-2.0', 'BSD-2-Clause', 'BSD-3-Clause', 'ISC', '0BSD', 'Unicode-3.0'],
  ...['BlueOak-1.0.0', 'CC0-1.0', 'Python-2.0', 'PSF-2.0'],
])

/** What the packages beside vmexit bring to their users, and themselves. vmexit brings nothing. */
const RUNTIME = {
  '@vmexit/manager': '(MIT OR Apache-2.0)',
  ws: 'MIT',
  '@stellar/js-xdr': 'Apache-2.0',
  'fast-xml-parser': 'MIT',
  // Of fast-xml-parser's.
  '@nodable/entities': 'MIT',
  anynum: 'MIT',
  'fast-xml-builder': 'MIT',
  'is-unsafe': 'MIT',
  'path-expression-matcher': 'MIT',
  strnum: 'MIT',
  'xml-naming': 'MIT',
  '@vmexit/fleet': '(MIT OR Apache-2.0)',
  bullmq: 'MIT',
  ioredis: 'MIT',
  // Of bullmq's.
  'cron-parser': 'MIT',
  luxon: 'MIT',
  msgpackr: 'MIT',
  'msgpackr-extract': 'MIT',
  ...Object.fromEntries(
    ['darwin-arm64', 'darwin-x64', 'linux-arm', 'linux-arm64', 'linux-x64', 'win32-x64'].map(
      (platform) => [`@msgpackr-extract/msgpackr-extract-${platform}`, 'MIT'],
    ),
  ),
  'node-gyp-build-optional-packages': 'MIT',
  'detect-libc': 'Apache-2.0',
  'node-abort-controller': 'MIT',
  semver: 'ISC',
  tslib: '0BSD',
  // Of ioredis's.
  '@ioredis/commands': 'MIT',
  'cluster-key-slot': 'Apache-2.0',
  debug: 'MIT',
  denque: 'Apache-2.0',
  ms: 'MIT',
  'redis-errors': 'MIT',
  'redis-parser': 'MIT',
  'standard-as-callback': 'MIT',
}

/** Weak copyleft, on purpose: the page's files of them are shipped as they are, with their licences. */
const UNMODIFIED = { '@novnc/novnc': 'MPL-2.0' }

/** Weak copyleft, for tests: it is not shipped. */
const TESTING = { 'axe-core': 'MPL-2.0' }

/** One name, or any of several; packages of npm say nothing more involved. */
const isAllowed = (licence) =>
  licence
    .replace(/^\((.*)\)$/, '$1')
    .split(' OR ')
    .some((name) => ALLOWED.has(name))

/** One line for each package of a lock file that may not be here. */
export function licenceProblems({ packages }) {
  return Object.entries(packages).flatMap(([path, { dev, link, ...found }]) => {
    const { name = path.replace(/^.*node_modules\//, ''), license = 'none', dependencies } = found
    if (path === '') return Object.keys(dependencies ?? {}).map(isRuntime)
    // Of the repository itself; what it points to has an entry of its own.
    if (link) return []
    const isKnown = isAllowed(license) || (dev && (UNMODIFIED[name] ?? TESTING[name]) === license)
    const known = isKnown ? [] : [`npm ${name}: licence ${license} is not in the list`]
    return dev || RUNTIME[name] === license ? known : [...known, isRuntime(name)]
  })
}

const isRuntime = (name) => `npm ${name}: a runtime dependency`

/** As a step of the check. */
export function npmLicences() {
  const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'))
  const problems = licenceProblems(lock)
  if (problems.length > 0) throw new Failure(problems.join('\n'))
}
