// Call qsort, comparing in JavaScript
//
// needs: cc
// prints: 92,65,15,14,3
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { instantiate } from 'vmexit/process'

const source = `
  #include <stdlib.h>
  #include "vmexit.h"
  VMEXIT_IMPORT(int, compare, int, int);
  static int order(const void *a, const void *b) { return compare(*(int *)a, *(int *)b); }
  VMEXIT_EXPORT(void, sort, int *, size_t);
  void sort(int *values, size_t count) { qsort(values, count, sizeof *values, order); }
  int main(void) { return 0; }`
const include = fileURLToPath(new URL('guest/include', import.meta.resolve('vmexit/package.json')))
const flags = ['-O2', '-static', `-I${include}`, '-x', 'c', '-', '-o', 'sort.elf']
execFileSync('cc', flags, { input: source })

using lib = await instantiate(readFileSync('sort.elf'), {
  exports: { sort: 'void(ptr, usize)' },
  imports: { compare: ['i32(i32, i32)', (a, b) => b - a] },
})
const values = Int32Array.of(3, 14, 15, 92, 65)
const address = lib.alloc(values.byteLength)
lib.memory.write(address, new Uint8Array(values.buffer))
lib.exports.sort(address, values.length)
const sorted = lib.memory.read(address, values.byteLength)
console.log(new Int32Array(sorted.buffer, sorted.byteOffset, values.length).join())
