// @ts-check
import { readFileSync } from 'node:fs'
import { instantiate } from 'vmexit/process'
import { build } from './build.mjs'

/** Compiles the library, and starts it in a machine of its own. Close it when it is done with. */
export const open = () =>
  instantiate(readFileSync(build()), {
    exports: {
      add: 'i32(i32, i32)',
      count_words: 'i32(cstr)',
      first_word: 'cstr(cstr)',
      poke: 'void(ptr)',
    },
    imports: {
      compare: ['i32(cstr, cstr)', (a, b) => (a ?? '').localeCompare(b ?? '')],
    },
    timeoutMs: 10_000,
  })
