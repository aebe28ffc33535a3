import { type Rule, type Scene, hex, isReal, linear, readLinear, ring, ripOf } from '../scene.ts'
import { portOf } from './opcodes.ts'

const crashes = ['fault', 'shutdown', 'internal-error', 'fail-entry']

/** Ends of guests that are lost, too. */
const isLost = ({ reason }: Scene): boolean => crashes.includes(reason) || reason === 'timeout'

/** A port that ring 3 may not use. */
export const portDenied: Rule = (scene) => {
  const { vector, registers, special } = scene
  const use = portOf(scene)
  const iopl = Number((registers.rflags >> 12n) & 3n)
  if (!use || vector !== 13 || ring(scene) <= iopl) return []
  const { base, limit } = special.tr
  const head = readLinear(scene, base + 0x66n, 2)
  const map = head ? head[0]! | (head[1]! << 8) : 0
  const at = map + (use.port >> 3)
  const bits = head && at <= limit ? readLinear(scene, base + BigInt(at), 1) : null
  const why = bits
    ? `the I/O bitmap of the TSS at ${hex(base)} has ${hex(bits[0]!)} for it`
    : `the TSS at ${hex(base)} (limit ${hex(limit)}) has no I/O bitmap for it`
  return [
    {
      found: `port ${hex(use.port)} in ring ${ring(scene)}, IOPL ${iopl}, and ${why}`,
      wanted: 'IOPL 3, or zero bits for it in the bitmap; on kvm_pvm the bitmap alone counts',
      manual: 'SDM 1 §19.5',
    },
  ]
}

/** #BP and #OF: RIP is after the instruction that raised them (SDM 3A §7.5). */
const TRAPS: readonly (number | null)[] = [3, 4]

/** Code without an end. */
export const codeRanOff: Rule = (scene) => {
  if (!isLost(scene) || TRAPS.includes(scene.vector)) return []
  const rip = ripOf(scene)
  const { code, parts } = scene
  const isZero = code.length >= 2 && code[0] === 0 && code[1] === 0
  const isEnd = code.length === 0 && readLinear(scene, rip - 1n, 1) !== null
  if (!isZero && !isEnd) return []
  const image = parts[0]
  const after = image && rip >= BigInt(image.gpa + image.bytes)
  const where = after ? `, ${hex(rip - BigInt(image.gpa + image.bytes))} bytes after the image` : ''
  return [
    {
      found: `RIP is ${hex(rip)}${where}, where ${isZero ? 'memory is zero' : 'memory has ended'}`,
      wanted: 'hlt, a jump or an exit port at the end of the code',
      manual: 'docs/crashes.md',
    },
  ]
}

/** Where nothing is. */
export const jumpNowhere: Rule = (scene) => {
  if (!isLost(scene) || scene.code.length > 0 || !scene.registersKept) return []
  const rip = ripOf(scene)
  const { page, miss } = scene.walk(rip)
  const why = page ? `gpa ${hex(page.gpa)} without memory` : `${miss?.level}: ${miss?.why}`
  return [
    {
      found: `RIP is ${hex(rip)}, where no code can be (${why})`,
      wanted: 'a jump, call or return to code; a return may have taken a wrong stack',
      manual: 'docs/crashes.md',
    },
  ]
}

/** What a PC's BIOS answers: video, equipment, memory, disks, serial, keyboard, clock. */
const BIOS = [0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0x19, 0x1a]
/** Words of the stack that are searched for a frame. */
const STACK_WORDS = 128

/** A call of a BIOS that there is none of: it left its frame on the stack. */
export const biosMissing: Rule = (scene) => {
  if (!isReal(scene) || !isLost(scene)) return []
  const { special, registers } = scene
  const top = linear(scene, special.ss, registers.rsp & 0xffffn)
  const words = scene.read(Number(top), 2 * STACK_WORDS) ?? []
  const here = calledAt(scene, scene.special.cs.base + registers.rip, 0n)
  for (let at = 0; at + 4 <= words.length; at += 2) {
    const [ip, cs] = [words[at]! | (words[at + 1]! << 8), words[at + 2]! | (words[at + 3]! << 8)]
    const vector = calledAt(scene, BigInt(cs * 16 + ip), 2n)
    if (vector !== null) return bios(vector, BigInt(cs * 16 + ip - 2))
  }
  return here === null ? [] : bios(here, ripOf(scene))
}

/** The vector of the `int` that ends at an address, or begins there. */
function calledAt(scene: Scene, address: bigint, back: bigint): number | null {
  if (address < back) return null
  const bytes = scene.read(Number(address - back), 2)
  if (!bytes || bytes[0] !== 0xcd || !BIOS.includes(bytes[1]!)) return null
  const entry = scene.read(4 * bytes[1]!, 4)
  // Firmware has its handlers in its own segments.
  return entry && entry[3]! < 0xa0 ? bytes[1]! : null
}

function bios(vector: number, at: bigint): ReturnType<Rule> {
  return [
    {
      found: `int ${hex(vector)} at ${hex(at)} calls a BIOS, and the machine has none`,
      wanted: 'code without BIOS calls, a handler in the vector table at 0, or firmware',
      manual: 'docs/boot.md',
    },
  ]
}

/** An access that nothing answers. */
export const unclaimed: Rule = ({ exit }) => {
  switch (exit?.reason) {
    case 'pio-in':
    case 'pio-out':
      return [
        {
          found: `no route claims port ${hex(exit.port)}`,
          wanted: `a route with port: ${hex(exit.port)}, or onExit`,
          manual: 'docs/devices.md',
        },
      ]
    case 'mmio-read':
    case 'mmio-write':
      return [
        {
          found: `gpa ${hex(exit.gpa)} is neither memory nor claimed`,
          wanted: 'an address in memory, a slot or a route there, or onExit',
          manual: 'docs/devices.md',
        },
      ]
    default:
      return []
  }
}
