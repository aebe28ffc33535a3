// @ts-check
import { GuestFault } from 'vmexit/process'
import { open } from './library.mjs'

const library = await open()
const { add, count_words, first_word, poke } = library.exports
console.log('40 + 2 =', add(40, 2))
console.log(
  count_words('a pinch of C'),
  'words, of which',
  first_word('pear fig apple'),
  'is first',
)
try {
  poke(0x10)
} catch (error) {
  if (!(error instanceof GuestFault)) throw error
  console.log(`${error.name} at 0x${error.address?.toString(16)}: the library's, and not ours`)
}
library.reset()
console.log('and again: 1 + 2 =', add(1, 2))
library.close()
