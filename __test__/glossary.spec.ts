// docs/glossary.md is in order, and short.
import { readFileSync } from 'node:fs'

import test from 'ava'

const entries = readFileSync('docs/glossary.md', 'utf8')
  .split(/^### /m)
  .slice(1)
  .map((text) => {
    const [term = '', ...lines] = text.trim().split('\n')
    return { term, text: lines.join(' ').trim() }
  })

test('terms are sorted, each once', (t) => {
  const terms = entries.map(({ term }) => term)
  t.true(terms.length > 60)
  const order = new Intl.Collator('en', { sensitivity: 'base' })
  t.deepEqual(terms, terms.toSorted(order.compare))
  t.is(new Set(terms).size, terms.length)
})

test('an entry has one to three sentences', (t) => {
  const sentences = (text: string): number => text.match(/\.(?= |$)/g)?.length ?? 0
  const wrong = entries.filter(({ text }) => sentences(text) < 1 || sentences(text) > 3)
  t.deepEqual(
    wrong.map(({ term }) => term),
    [],
  )
})
