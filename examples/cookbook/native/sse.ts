// Call a C function that uses SSE
//
// needs: cc
// prints: 1 * 5 + 2 * 6 + 3 * 7 + 4 * 8 = 70
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { instantiate } from 'vmexit/process'

const source = `
  #include <xmmintrin.h>
  float dot(const float *a, const float *b) {
    __m128 products = _mm_mul_ps(_mm_loadu_ps(a), _mm_loadu_ps(b));
    return products[0] + products[1] + products[2] + products[3];
  }`
const file = join(mkdtempSync(join(tmpdir(), 'recipe-')), 'dot.elf')
const flags = ['-O2', '-static', '-nostdlib', '-Wl,--entry=0', '-x', 'c', '-', '-o', file]
execFileSync('cc', flags, { input: source })

using lib = await instantiate(readFileSync(file), { exports: { dot: 'f32(ptr, ptr)' } })
const [a, b] = [Float32Array.of(1, 2, 3, 4), Float32Array.of(5, 6, 7, 8)].map((vector) => {
  const address = lib.alloc(vector.byteLength)
  lib.memory.write(address, new Uint8Array(vector.buffer))
  return address
})
console.log(`1 * 5 + 2 * 6 + 3 * 7 + 4 * 8 = ${lib.exports.dot(a!, b!)}`)
