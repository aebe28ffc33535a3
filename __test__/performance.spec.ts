// docs/performance.md has all that was measured, once, and says how to measure it again.
import { existsSync, readFileSync } from 'node:fs'

import test from 'ava'

import { routeNames } from '../src/bench/route-names.ts'
import { repositoryFiles } from './helpers/architecture/files.ts'

const page = readFileSync('docs/performance.md', 'utf8')
const sections = page.split(/^(?=## )/m).slice(1)

/** Rows of a table in which something was measured: a cell that is a time, and nothing else. */
const measured = (text: string): string[] =>
  text.match(/^\|.*\| (?:[\d.]+ (?:ns|µs|ms|s)(?:, )?)+ \|.*$/gm) ?? []

test('what README.md repeats is what the page says', (t) => {
  const repeated = measured(readFileSync('README.md', 'utf8'))
  t.true(repeated.length > 2)
  t.deepEqual(
    repeated.filter((row) => !measured(page).includes(row)),
    [],
  )
})

/** Bounds, which are no measurements. */
const others = ['README.md', 'CHANGELOG.md', 'docs/performance.md', 'docs/two-kvms.md']

test('no other page has a table of what was measured', (t) => {
  const pages = repositoryFiles().filter(({ path }) => path.endsWith('.md'))
  const found = pages
    .filter(({ path }) => !others.includes(path))
    .flatMap(({ path, text }) => measured(text).map((row) => `${path}: ${row}`))
  t.deepEqual(found, [])
  t.true(measured(page).length > 15)
})

test('every section with a table says the command', (t) => {
  const [, ...rest] = sections.filter((text) => /^\| --- /m.test(text))
  t.true(rest.length > 6)
  t.deepEqual(
    rest.filter((text) => !text.includes('\n**Again.** ')).map((text) => text.split('\n')[0]),
    [],
  )
})

test('the routes and programs of the commands are there', (t) => {
  const known: readonly string[] = routeNames
  const again = [...page.matchAll(/\*\*Again\.\*\* ([^]*?)\n\n/g)].map(([, text = '']) => text)
  const routes = again.flatMap((text) => [...text.matchAll(/--route ([\w-]+)/g)])
  t.true(routes.length > 5)
  for (const [, route = ''] of routes) t.true(known.includes(route), route)
  const programs = again.flatMap((text) => text.match(/bench\/[\w-]+\.mjs/g) ?? [])
  t.true(programs.length > 1)
  for (const program of programs) t.true(existsSync(program), program)
  const rows = sections.filter((text) => text.includes('names of the first column'))
  const named = rows.flatMap((text) => [...text.matchAll(/^\| (`.*?) \|/gm)])
  const names = named.flatMap(([, cell = '']) => cell.match(/[\w-]{2,}/g) ?? [])
  t.true(names.length > 10)
  t.deepEqual(
    names.filter((name) => !known.includes(name)),
    [],
  )
})
