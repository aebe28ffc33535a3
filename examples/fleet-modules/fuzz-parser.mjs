// A job module: random records for a guest's function, whose machine is put back after each. What a
// record makes the guest do is told by how many bytes it copies; a new number makes a new entry of
// the corpus that all jobs share, and half of the records are made of that.
import { VirtualMachine } from 'vmexit'

// parse(record in RDI) copies a record's bytes to a buffer of 64 bytes on the stack. The check of
// the length was forgotten for one kind, and what is too long overwrites the return address.
const listing = `
  e8 01 00 00 00 f4 48 83 ec 40 0f b6 4f 01 80 3f 7f 74 03 83 e1 3f
  48 8d 77 02 48 89 e7 f3 a4 48 83 c4 40 c3`
const image = new Uint8Array(0x8000).fill(0xcc)
image.set(listing.match(/[\da-f]{2}/g).map((byte) => Number.parseInt(byte, 16)))

const recordGpa = 0x9000

export default async function fuzz({ input, shared, signal, progress }) {
  let state = input.seed * 0x9e3779b1
  const random = () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return state & 0xff
  }
  const vm = new VirtualMachine({ mode: 'long', payload: { image }, memoryBytes: 0x20000 })
  vm.setRegisters({ rsp: 0x10000n, rdi: BigInt(recordGpa) })
  const start = vm.snapshot()
  const corpus = (await shared.get('corpus')) ?? []
  let crash
  for (let record = 1; !crash && record <= input.records && !signal.aborted; record++) {
    const bytes = Uint8Array.from({ length: 257 }, random)
    const base = corpus[random() % (corpus.length || 1)]
    // Now and then the kind of a known record, with another length.
    if (base !== undefined && random() < 128) bytes[0] = base[0]
    // The kinds that this format has.
    else bytes[0] = 0x70 | (bytes[0] & 0x0f)
    vm.memory.write(recordGpa, bytes)
    const result = await vm.run({ timeoutMs: 1000 })
    const reached = [bytes[0], Number(result.registers.rdi & 0x3fn)]
    if (await shared.add('corpus', reached)) corpus.push(reached)
    if (result.reason !== 'hlt') {
      const { rip, rsp } = result.registers
      const registers = { rip: String(rip), rsp: String(rsp) }
      const explain = String(result.explain())
      crash = { record, kind: bytes[0], length: bytes[1], registers, explain }
    } else vm.restore(start)
  }
  start.close()
  vm.close()
  progress(input.records)
  return { ...(crash && { crash }), corpus: corpus.length }
}
