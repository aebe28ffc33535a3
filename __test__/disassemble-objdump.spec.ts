// The disassembler beside objdump, on every guest here: the same instructions, at the same
// addresses.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import test from 'ava'

import { type CodeBits, decode } from '../src/debug/disassemble.ts'

const guestFolder = new URL('../guest', import.meta.url).pathname
const folder = mkdtempSync(join(tmpdir(), 'vmexit-objdump-'))
test.after.always(() => rmSync(folder, { recursive: true }))

const machines: Record<CodeBits, string[]> = {
  16: ['-m', 'i8086', '-M', 'intel,i8086'],
  32: ['-m', 'i386', '-M', 'intel,i386'],
  64: ['-m', 'i386:x86-64', '-M', 'intel'],
}

/** What objdump writes before a mnemonic. */
const PREFIX =
  /^(?:cs|ds|es|fs|gs|ss|lock|rep|repz|repnz|bnd|notrack|data16|addr16|addr32|rex(?:\.\w+)?) +/

/** Where the two spell an instruction differently: objdump's word, and ours. */
const SPELLINGS: Record<string, RegExp> = {
  ins: /^ins[bwd]$/,
  outs: /^outs[bwd]$/,
  movs: /^movs[bwdq]$/,
  lods: /^lods[bwdq]$/,
  stos: /^stos[bwdq]$/,
  movabs: /^mov$/,
  // Of ax with itself.
  xchg: /^(xchg|nop)$/,
  // objdump tells the size of the operand.
  lgdtw: /^lgdt$/,
  lgdtd: /^lgdt$/,
  lidtw: /^lidt$/,
  lidtd: /^lidt$/,
  fwait: /^wait$/,
  iret: /^iretd?$/,
  // What is cut off at the end.
  '.byte': /^\(bad\)$/,
}

interface Said {
  at: bigint
  mnemonic: string
  line: string
}

function objdump(path: string, bits: CodeBits): Said[] {
  const args = ['-D', '-z', '-w', '-b', 'binary', ...machines[bits], path]
  const text = execFileSync('objdump', args, { encoding: 'utf8', maxBuffer: 1 << 28 })
  let begun: string | undefined
  return [...text.matchAll(/^ *([\da-f]+):\t[\da-f ]+\t(.*)$/gm)].flatMap(([line, at, words]) => {
    let rest = `${words} `
    while (PREFIX.test(rest)) rest = rest.replace(PREFIX, '')
    begun ??= at!
    // A prefix that means nothing has a line of its own.
    if (rest === '') return []
    const said = { at: BigInt(`0x${begun}`), mnemonic: rest.split(' ')[0]!, line }
    begun = undefined
    return [said]
  })
}

function differences(path: string, bits: CodeBits): string[] {
  const theirs = objdump(path, bits)
  const ours = decode(readFileSync(path), 0n, bits, 1 << 20)
  const byAddress = new Map(ours.map((instruction) => [instruction.address, instruction]))
  const found = theirs.flatMap(({ at, mnemonic, line }) => {
    const mine = byAddress.get(at)
    const isSame = mine?.mnemonic === mnemonic || SPELLINGS[mnemonic]?.test(mine?.mnemonic ?? '')
    return isSame ? [] : [`${line} | ${mine?.text ?? 'no instruction'}`]
  })
  const isAsMany = ours.length === theirs.length
  return isAsMany ? found : [...found, `${ours.length} instructions, objdump has ${theirs.length}`]
}

test('every guest: the same instructions as objdump, at the same addresses', (t) => {
  execFileSync('make', ['-s', '-C', guestFolder, `OUT=${folder}`])
  const images = readdirSync(folder).filter((name) => name.endsWith('.bin'))
  t.true(images.length > 20)
  const found = images.flatMap((name) => {
    const bits = Number(/-(16|32|64)/.exec(name)![1]) as CodeBits
    return differences(join(folder, name), bits).map((line) => `${name}: ${line}`)
  })
  t.deepEqual(found, [])
})
