import { hexBytes } from '../images.ts'

/** Two functions as the native library has them. */
const module = hexBytes(`
  00 61 73 6d 01 00 00 00              a module
  01 0c 02                             types
  60 02 7f 7f 01 7f                    i32(i32, i32)
  60 01 7e 01 7e                       i64(i64)
  03 03 02 00 01                       functions of them
  07 11 02                             exports
  03 61 64 64 00 00                    add
  07 63 6f 6d 70 75 74 65 00 01        compute
  0a 2d 02                             code
  07 00 20 00 20 01 6a 0b              first + second
  23 01 01 7e 03 40                    a sum, a loop
  20 01 42 ad e8 c7 c2 05 7e           sum times 0x5851f42d
  20 00 7c 21 01                       and the rounds left
  20 00 42 01 7d 22 00 42 00 52        one less, not 0
  0d 00 0b 20 01 0b                    once more; the sum
`)

interface Exports {
  add(first: number, second: number): number
  compute(rounds: bigint): bigint
}

/** As much of Node.js's as is used here: its types come with a browser's. */
interface Engine {
  instantiate(bytes: Uint8Array): Promise<{ instance: { exports: Exports } }>
}

/** An instance of it. */
export async function computeWasm(): Promise<Exports> {
  const { WebAssembly } = globalThis as unknown as { WebAssembly: Engine }
  const { instance } = await WebAssembly.instantiate(module)
  return instance.exports
}
