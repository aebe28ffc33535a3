import type { Found, Scene } from '../scene.ts'

/** Mnemonic, and what raises it, of each vector (Intel SDM vol. 3A §7.3, §7.15). */
const vectors: readonly (readonly [name: string, means: string])[] = [
  ['DE', 'a division by zero, or a quotient that does not fit'],
  ['DB', 'a debug exception: RFLAGS.TF is set, or a debug register hit'],
  ['NMI', 'a non-maskable interrupt'],
  ['BP', 'a breakpoint: the instruction int3'],
  ['OF', 'the instruction into with RFLAGS.OF set'],
  ['BR', 'the instruction bound out of its bounds'],
  ['UD', 'an instruction that does not exist, or not in this mode'],
  ['NM', 'x87 or SSE with CR0.TS or CR0.EM set'],
  ['DF', 'a second exception while the first one was delivered'],
  ['9', 'a coprocessor segment overrun, which no processor of today raises'],
  ['TS', 'a TSS that cannot be used'],
  ['NP', 'a segment or a gate that is not present'],
  ['SS', 'a stack outside its segment, not present or not canonical'],
  ['GP', 'a rule of protection is broken: segment, privilege, reserved bit, address'],
  ['PF', 'an address whose page is absent, or forbids the access'],
  ['15', 'a reserved vector'],
  ['MF', 'an x87 error that is not masked'],
  ['AC', 'an address that is not aligned, with CR0.AM and RFLAGS.AC set in ring 3'],
  ['MC', 'a machine check of the hardware'],
  ['XM', 'an SSE error that MXCSR does not mask'],
  ['VE', 'a violation of EPT that is delivered to the guest'],
  ['CP', 'a return that the shadow stack does not confirm'],
  ...Array.from({ length: 6 }, (_, index) => [String(22 + index), 'a reserved vector'] as const),
  ['HV', 'an event that a hypervisor injects'],
  ['VC', 'a hypervisor must answer what an encrypted guest does'],
  ['SX', 'a security exception of AMD'],
  ['31', 'a reserved vector'],
]

/** Of each vector its rule's name: `'vector-pf'`. */
export const vectorRules: readonly string[] = vectors.map(
  ([name]) => `vector-${name.toLowerCase()}`,
)

/** The selector of an error code, in words (§7.13). */
function errorCodeText(vector: number, code: number): string {
  if (vector === 14) {
    const bits = ['the page is present', 'a write', 'from ring 3', 'a reserved bit', 'a fetch']
    const set = bits.filter((_, bit) => code & (1 << bit))
    return ` (${[...set, ...(code & 1 ? [] : ['no page'])].join(', ')})`
  }
  if (code === 0 || vector === 8 || vector === 17) return ''
  const table = code & 2 ? 'IDT' : code & 4 ? 'LDT' : 'GDT'
  return ` (entry ${code >> 3} of the ${table}${code & 1 ? ', for an event from outside' : ''})`
}

/** What a vector means, with error code and address. */
export function describeVector({ vector, errorCode, address }: Scene, of: number): Found[] {
  if (vector !== of) return []
  const [name, means] = vectors[of]!
  const code =
    errorCode === undefined
      ? ''
      : `, error code 0x${errorCode.toString(16)}${errorCodeText(of, errorCode)}`
  const at = address === undefined ? '' : `, address 0x${address.toString(16)}`
  const found = `vector ${of}, #${name}: ${means}${code}${at}`
  return [{ found, wanted: 'no such exception, or a handler for it', manual: 'SDM 3A §7.15' }]
}
