// Call a C function that uses SSE
//
// needs: cc
// prints: 1 * 5 + 2 * 6 + 3 * 7 + 4 * 8 = 70
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { instantiate } from 'vmexit/process'

const source = `
  #include <xmmintrin.h>
  float dot(const float *a, const float *b) {
    __m128 products = _mm_mul_ps(_mm_loadu_ps(a), _mm_loadu_ps(b));
    return products[0] + products[1] + products[2] + products[3];
  }`
const flags = ['-O2', '-static', '-nostdlib', '-Wl,--entry=0', '-x', 'c', '-', '-o', 'dot.elf']
execFileSync('cc', flags, { input: source })

using lib = await instantiate(readFileSync('dot.elf'), { exports: { dot: 'f32(ptr, ptr)' } })
function copied(...values: number[]): number {
  const address = lib.alloc(values.length * 4)
  lib.memory.write(address, new Uint8Array(Float32Array.from(values).buffer))
  return address
}
const product = lib.exports.dot(copied(1, 2, 3, 4), copied(5, 6, 7, 8))
console.log(`1 * 5 + 2 * 6 + 3 * 7 + 4 * 8 = ${product}`)
