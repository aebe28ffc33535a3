// A fuzzer for a parser in C: it gets mutated records, and its memory is put back after each.
//
//   node --import @oxc-node/core/register examples/fuzz-parser.ts          20,000 records
//   node --import @oxc-node/core/register examples/fuzz-parser.ts 500
//
// prints: … records parsed, … refused
//         found: … after … records, for example … used…
//         … records a second
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { GuestFault, GuestTimeout, instantiate } from 'vmexit/process'

const source = String.raw`
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// How much is used, in per cent, of "size=10 used=7 name=thing"; -1 for what is no such record.
int parse(const char *record) {
  int fields = 0, size = 1, used = 0;
  char *copy = strdup(record);
  for (char *field = strtok(copy, " "); field; field = strtok(NULL, " ")) {
    char *value = strchr(field, '=');
    if (!value) {
      free(copy);
      return -1;
    }
    *value++ = 0;
    if (!strcmp(field, "size")) size = atoi(value); // that it may be 0 was not thought of
    if (!strcmp(field, "used")) used = atoi(value);
    fields++;
  }
  free(copy);
  return fields == 3 && used >= 0 ? (int)(100LL * used / size) : -1;
}

int main(void) {
  pause();
}
`

function compile(code: string): Buffer {
  const folder = mkdtempSync(join(tmpdir(), 'vmexit-example-'))
  try {
    const args = ['-O1', '-static', '-x', 'c', '-', '-o', join(folder, 'parser')]
    execFileSync('cc', args, { input: code })
    return readFileSync(join(folder, 'parser'))
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** Random numbers that are the same each time (xorshift32). */
let seed = 20
function below(limit: number): number {
  seed ^= seed << 13
  seed ^= seed >>> 17
  seed ^= seed << 5
  return (seed >>> 0) % limit
}

const letters = '0123456789 =-+sizeusedname'

/** A record that is almost right: some letters are replaced, left out or doubled. */
function mutated(record: string): string {
  let text = record
  for (let left = 1 + below(4); left > 0; left--) {
    const at = below(text.length + 1)
    const letter = letters[below(letters.length)]!
    text =
      text.slice(0, at) +
      ['', letter, text.slice(at, at + 4)][below(3)]! +
      text.slice(at + below(2))
  }
  return text
}

const records = Number(process.argv[2] ?? 20_000)
using parser = await instantiate(compile(source), {
  exports: { parse: 'i32(cstr)' },
  timeoutMs: 1000,
})
const crashes = new Map<string, { after: number; record: string }>()
let [parsed, refused] = [0, 0]
const began = performance.now()
for (let done = 1; done <= records; done++) {
  const record = mutated('size=10 used=7 name=thing')
  try {
    if (parser.exports.parse(record) < 0) refused++
    else parsed++
  } catch (error) {
    // The same instruction is the same mistake.
    if (error instanceof GuestFault || error instanceof GuestTimeout) {
      const place = `${error.name} at ${error.registers.rip.toString(16)}`
      if (!crashes.has(place)) crashes.set(place, { after: done, record })
    } else throw error
  }
  parser.reset()
}
const seconds = (performance.now() - began) / 1000

console.log(`${parsed} records parsed, ${refused} refused`)
for (const [place, { after, record }] of crashes)
  console.log(`found: ${place} after ${after} records, for example ${record}`)
console.log(`${(records / seconds).toFixed(0)} records a second`)
