/** Where the guests of exits read how often: a u32. */
export const countCell = 0x500

/** The port that the count guest writes to, and the address that the mmio guest writes to. */
export const benchPort = 0x200
export const benchGpa = 0x1000_0000

/** N one-byte writes to `benchPort`, in a loop of three instructions as in the embedded guest. */
export const countImage = hexBytes(`
  8b 0c 25 00 05 00 00    mov ecx, [0x500]
  66 ba 00 02             mov dx, 0x200
  ee                      out dx, al
  ff c9                   dec ecx
  75 fb                   jnz -5
  f4                      hlt
  eb fd                   jmp -3
`)

/** N one-byte writes to `benchGpa`, in a loop of three instructions as in the count guest. */
export const mmioImage = hexBytes(`
  8b 0c 25 00 05 00 00    mov ecx, [0x500]
  bb 00 00 00 10          mov ebx, 0x10000000
  88 03                   mov [rbx], al
  ff c9                   dec ecx
  75 fa                   jnz -6
  f4                      hlt
  eb fd                   jmp -3
`)

/** Halts, as often as it is entered. */
export const hltImage = hexBytes(`
  f4                      hlt
  eb fd                   jmp -3
`)

/** RCX rounds of work, and then an exit. */
export const busyImage = hexBytes(`
  48 ff c9                dec rcx
  75 fb                   jnz -5
  e6 f4                   out 0xf4, al
`)

/** A function: RAX = RDI + 7. */
export const callImage = hexBytes(`
  48 8d 47 07             lea rax, [rdi + 7]
  f4                      hlt
`)

/** The same in ring 3, which may not halt. */
export const userCallImage = hexBytes(`
  48 8d 47 07             lea rax, [rdi + 7]
  e6 fb                   out 0xfb, al
`)

/** System calls, for as long as they are answered. */
export const systemCallImage = hexBytes(`
  0f 05                   syscall
  eb fc                   jmp -4
`)

/** A function: RDI rounds of work, each of which needs the one before it. */
export const computeImage = hexBytes(`
  48 69 c0 2d f4 51 58    imul rax, rax, 0x5851f42d
  48 01 f8                add rax, rdi
  48 ff cf                dec rdi
  75 f1                   jnz -15
  c3                      ret
`)

/** Rounds of one unit: some milliseconds of work. */
export const computeRounds = 1_000_000

/** Counts, for as long as it is let. */
export const stepImage = hexBytes(`
  ff c0                   inc eax
  eb fc                   jmp -4
`)

/** Writes that the pages guest has, each of which goes to a page of its own. */
const pagesMost = 100

const firstPageGpa = 0x1_0000

/** `mov [address], al` and the address. */
const writePage = hexBytes(`
  88 04 25 00 00 00 00    mov [0], al
`)

/** Where the pages guest is entered to write so many pages before its halt. */
export function pagesEntry(pages: number): number {
  return (pagesMost - pages) * writePage.length
}

/**
 * One instruction for each page, and nothing else: the guest's own time is the least that it can
 * be.
 */
export const pagesImage: Uint8Array = Uint8Array.from([
  ...Array.from({ length: pagesMost }, (_, page) => write(firstPageGpa + page * 4096)).flat(),
  ...hltImage,
])

function write(gpa: number): number[] {
  const instruction = writePage.slice()
  new DataView(instruction.buffer).setUint32(writePage.length - 4, gpa, true)
  return [...instruction]
}

/** The hexadecimal bytes at the start of each line. */
export function hexBytes(listing: string): Uint8Array {
  const hex = listing.match(/^ +(?:[\da-f]{2} )+/gm)?.join('') ?? ''
  return Uint8Array.from(hex.match(/[\da-f]{2}/g) ?? [], (byte) => Number.parseInt(byte, 16))
}
