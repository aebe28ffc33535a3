// The versions that docs/runtimes.md names are those that are tested.
import { readFileSync } from 'node:fs'

import test from 'ava'

const page = readFileSync('docs/runtimes.md', 'utf8')
const downloads = readFileSync('scripts/package/downloads.mjs', 'utf8')
const { devDependencies } = JSON.parse(readFileSync('package.json', 'utf8'))

/** The last cell of the first row whose first cell begins so. */
function tested(first: string): string {
  const row = page.split('\n').find((line) => line.startsWith(`| ${first}`)) ?? ''
  return row.split('|').at(-2)!.trim()
}

const downloaded = (name: string): string =>
  new RegExp(`'?${name}'?: '([\\d.]+)'`).exec(downloads)?.[1] ?? 'none'

test('versions of runtimes, runners and bundlers', (t) => {
  const versions = [
    ['Bun', downloaded('@oven/bun-linux-x64')],
    ['Deno', downloaded('@deno/linux-x64-glibc')],
    ['Jest', downloaded('jest')],
    ['Vitest', downloaded('vitest')],
    ['webpack', downloaded('webpack')],
    ['vite', downloaded('vite')],
    ['`bun build`', downloaded('@oven/bun-linux-x64')],
    ['esbuild', devDependencies.esbuild],
    ['rolldown', devDependencies.rolldown],
    ['ava', devDependencies.ava],
  ]
  for (const [name, version] of versions) {
    const [said = ''] = tested(name).split(',')
    t.regex(said, /^[\d.]+$/, name)
    t.true(`${version}.`.startsWith(`${said}.`), `${name}: ${said}, tested is ${version}`)
  }
})

test('versions of Node.js', (t) => {
  const majors = /MAJORS = \[([\d, ]+)\]/.exec(downloads)?.[1] ?? ''
  t.is(tested('Node.js 20.19 to'), majors)
  const [oldest, newest] = [majors.split(', ')[0], majors.split(', ').at(-1)]
  t.is(tested('`node:test`'), `Node.js ${oldest} and ${newest}`)
})
