// A library in C, with its libc, called from JavaScript; a wild pointer in it is an exception.
//
//   node --import @oxc-node/core/register examples/native-library.ts
//
// prints: kitten and sitting are 3 apart
//         sorted in C, by a comparison in JavaScript: kiwi, lime, mango, papaya
//         3 of 4 doubles are numbers, and their mean is 2.5
//         #PF at 0x10, in the library and not here
//         again: 3
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { GuestFault, instantiate } from 'vmexit/process'

const source = String.raw`
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "vmexit.h"

int distance(const char *a, const char *b) {
  const size_t width = strlen(b) + 1;
  int *row = malloc(width * sizeof *row);
  for (size_t i = 0; i < width; i++) row[i] = (int)i;
  for (int i = 0; a[i]; i++) {
    int corner = row[0];
    row[0] = i + 1;
    for (size_t j = 1; j < width; j++) {
      int best = corner + (a[i] != b[j - 1]);
      if (row[j] + 1 < best) best = row[j] + 1;
      if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
      corner = row[j];
      row[j] = best;
    }
  }
  const int last = row[width - 1];
  free(row);
  return last;
}

VMEXIT_IMPORT(int, compare, const char *, const char *);
static int by_import(const void *a, const void *b) { return compare(*(char **)a, *(char **)b); }

// Sorts the words of a text, and returns them with commas; the caller frees what it gets.
char *sort_words(const char *text) {
  char *words[64], *copy = strdup(text), *joined = calloc(1, 2 * strlen(text) + 1);
  size_t count = 0;
  for (char *word = strtok(copy, " "); word && count < 64; word = strtok(NULL, " "))
    words[count++] = word;
  qsort(words, count, sizeof *words, by_import);
  for (size_t i = 0; i < count; i++) strcat(strcat(joined, i ? ", " : ""), words[i]);
  free(copy);
  return joined;
}

struct statistics {
  double mean;
  int numbers;
};
void measure(const double *values, size_t count, struct statistics *to) {
  double sum = 0;
  to->numbers = 0;
  for (size_t i = 0; i < count; i++)
    if (!isnan(values[i])) sum += values[i], to->numbers++;
  to->mean = sum / to->numbers;
}

int main(void) {
  pause(); // started: from here on functions are called
}
`

/** A static program is a library, too: see docs/native.md for other compilers and languages. */
function compile(code: string): Buffer {
  const folder = mkdtempSync(join(tmpdir(), 'vmexit-example-'))
  try {
    const include = fileURLToPath(new URL('../guest/include', import.meta.url))
    const args = ['-O2', '-static', `-I${include}`, '-x', 'c', '-', '-o', join(folder, 'library')]
    execFileSync('cc', [...args, '-lm'], { input: code })
    return readFileSync(join(folder, 'library'))
  } finally {
    rmSync(folder, { recursive: true })
  }
}

using library = await instantiate(compile(source), {
  exports: {
    distance: 'i32(cstr, cstr)',
    sort_words: 'ptr(cstr)',
    measure: 'void(ptr, usize, ptr)',
    free: 'void(ptr)',
  },
  imports: {
    compare: ['i32(cstr, cstr)', (a, b) => a!.localeCompare(b!)],
  },
  timeoutMs: 10_000,
})
const { exports: call, memory } = library

console.log(`kitten and sitting are ${call.distance('kitten', 'sitting')} apart`)

const words = call.sort_words('papaya lime mango kiwi')
const text = Buffer.from(memory.read(words, 64))
console.log(
  'sorted in C, by a comparison in JavaScript:',
  text.toString('latin1', 0, text.indexOf(0)),
)
call.free(words)

const values = Float64Array.of(1, Number.NaN, 4, 2.5)
const at = library.alloc(values.byteLength + 16)
memory.write(at, new Uint8Array(values.buffer))
call.measure(at, values.length, at + values.byteLength)
const statistics = memory.read(at + values.byteLength, 16)
const view = new DataView(statistics.buffer, statistics.byteOffset, 16)
console.log(
  `${view.getInt32(8, true)} of ${values.length} doubles are numbers,`,
  `and their mean is ${view.getFloat64(0, true)}`,
)

try {
  call.measure(0x10, 1, at)
} catch (error) {
  if (!(error instanceof GuestFault)) throw error
  console.log(`${error.name} at 0x${error.address!.toString(16)}, in the library and not here`)
}
library.reset()
console.log('again:', call.distance('kitten', 'sitting'))
