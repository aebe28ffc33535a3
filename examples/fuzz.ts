// A fuzzer: a guest's function gets random records, and its machine is put back after each.
//
//   node --import @oxc-node/core/register examples/fuzz.ts          100,000 records
//   node --import @oxc-node/core/register examples/fuzz.ts 2000
//
// prints: found: record 128 (kind 0x7f, length 151) ends with …
//         … crashes in 2000 records
//         … resets a second, … times as many as new machines
import { VirtualMachine } from 'vmexit'

// parse(record in RDI) copies a record's bytes to a buffer of 64 bytes on the stack. The check of
// the length was forgotten for one kind, and what is too long overwrites the return address.
const parse = `
  e8 01 00 00 00          call parse
  f4                      hlt
  48 83 ec 40             parse: sub rsp, 64
  0f b6 4f 01             movzx ecx, byte [rdi + 1]   ; the length
  80 3f 7f                cmp byte [rdi], 0x7f        ; the kind
  74 03                   je copy
  83 e1 3f                and ecx, 63
  48 8d 77 02             copy: lea rsi, [rdi + 2]
  48 89 e7                mov rdi, rsp
  f3 a4                   rep movsb
  48 83 c4 40             add rsp, 64
  c3                      ret
`
const code = parse
  .match(/^ +(?:[\da-f]{2} )+/gm)!
  .join('')
  .trim()
  .split(/\s+/)
// int3 wherever the function does not go.
const image = new Uint8Array(0x8000).fill(0xcc)
image.set(code.map((byte) => Number.parseInt(byte, 16)))

const recordGpa = 0x9000
const stackGpa = 0x10000n

function machine(): VirtualMachine {
  const vm = new VirtualMachine({ mode: 'long', payload: { image }, memoryBytes: 0x20000 })
  vm.setRegisters({ rsp: stackGpa, rdi: BigInt(recordGpa) })
  return vm
}

/** Random numbers that are the same each time (xorshift32). */
let seed = 14
function random(): number {
  seed ^= seed << 13
  seed ^= seed >>> 17
  seed ^= seed << 5
  return seed & 0xff
}

const record = new Uint8Array(2 + 0xff)

/** How the function ends with a record. */
function run(vm: VirtualMachine): string {
  vm.memory.write(recordGpa, record)
  return vm.runSync({ timeoutMs: 1000 }).reason
}

const records = Number(process.argv[2] ?? 100_000)
using vm = machine()
using start = vm.snapshot()
let crashes = 0
const began = performance.now()
for (let done = 1; done <= records; done++) {
  for (let index = 0; index < record.length; index++) record[index] = random()
  const reason = run(vm)
  if (reason !== 'hlt' && crashes++ === 0) {
    const [kind, length] = record
    console.log(
      `found: record ${done} (kind 0x${kind!.toString(16)}, length ${length}) ends with ${reason}`,
    )
  }
  vm.restore(start)
  if (done % 10_000 === 0) {
    const seconds = (performance.now() - began) / 1000
    process.stderr.write(
      `${done} of ${records}: ${crashes} crashes, ${(done / seconds).toFixed(0)} a second\n`,
    )
  }
}
const resets = (records / (performance.now() - began)) * 1000

const machines = Math.ceil(records / 50)
const again = performance.now()
for (let done = 0; done < machines; done++) {
  using fresh = machine()
  run(fresh)
}
const news = (machines / (performance.now() - again)) * 1000

console.log(`${crashes} crashes in ${records} records`)
console.log(
  `${resets.toFixed(0)} resets a second, ${(resets / news).toFixed(1)} times as many as new machines`,
)
