// @ts-check
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { GuestFault } from 'vmexit/process'
import { open } from './library.mjs'

/** @type {Awaited<ReturnType<typeof open>>} */
let library

before(async () => {
  library = await open()
})

after(() => library.close())

test('functions are called, with numbers and texts', () => {
  const { add, count_words } = library.exports
  assert.equal(add(40, 2), 42)
  assert.equal(count_words(' one  two\tthree\n'), 3)
})

test('the library calls back', () => {
  assert.equal(library.exports.first_word('pear Fig apple'), 'apple')
})

test('a wild pointer is an exception, after which the library can be reset', () => {
  assert.throws(
    () => library.exports.poke(0x10),
    (error) => error instanceof GuestFault && error.name === '#PF' && error.address === 0x10n,
  )
  library.reset()
  assert.equal(library.exports.add(1, 2), 3)
})
