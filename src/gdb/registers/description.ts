import { type Bits, type Register, architectures, featuresOf } from './layout.ts'

/** Named bits of RFLAGS (Intel SDM vol. 1 §3.4.3) and of MXCSR (§10.2.3). */
const flags = {
  i386_eflags: {
    ...{ CF: 0, PF: 2, AF: 4, ZF: 6, SF: 7, TF: 8, IF: 9, DF: 10, OF: 11, NT: 14, RF: 16 },
    ...{ VM: 17, AC: 18, VIF: 19, VIP: 20, ID: 21 },
  },
  i386_mxcsr: {
    ...{ IE: 0, DE: 1, ZE: 2, OE: 3, UE: 4, PE: 5, DAZ: 6, IM: 7, DM: 8, ZM: 9, OM: 10, UM: 11 },
    ...{ PM: 12, FZ: 15 },
  },
}

const vectors = [
  ['v4_float', 'ieee_single', 4],
  ['v2_double', 'ieee_double', 2],
  ['v16_int8', 'int8', 16],
  ['v8_int16', 'int16', 8],
  ['v4_int32', 'int32', 4],
  ['v2_int64', 'int64', 2],
] as const

function flagsType(id: keyof typeof flags): string {
  const fields = Object.entries(flags[id])
    .map(([name, at]) => `<field name="${name}" start="${at}" end="${at}"/>`)
    .join('')
  return `<flags id="${id}" size="4">${fields}</flags>`
}

const vectorTypes = [
  ...vectors.map(([id, type, count]) => `<vector id="${id}" type="${type}" count="${count}"/>`),
  '<union id="vec128">',
  ...vectors.map(([id]) => `<field name="${id}" type="${id}"/>`),
  '<field name="uint128" type="uint128"/></union>',
].join('')

/** Types that the registers of a feature have and gdb does not know by itself. */
function typesOf(registers: readonly Register[]): string {
  const used = new Set(registers.map(({ type }) => type))
  const named = Object.keys(flags).filter((id) => used.has(id)) as (keyof typeof flags)[]
  return (used.has('vec128') ? vectorTypes : '') + named.map(flagsType).join('')
}

/** What a client reads as `target.xml`: its registers, in the order of their numbers. */
export function targetDescription(bits: Bits): string {
  const features = featuresOf(bits).map(({ name, registers }) => {
    const lines = registers.map(
      ({ name: register, bits: size, type, group }) =>
        `<reg name="${register}" bitsize="${size}" type="${type}"` +
        `${group === undefined ? '' : ` group="${group}"`}/>`,
    )
    return `<feature name="${name}">${typesOf(registers)}${lines.join('')}</feature>`
  })
  return (
    '<?xml version="1.0"?><!DOCTYPE target SYSTEM "gdb-target.dtd">' +
    `<target version="1.0"><architecture>${architectures[bits]}</architecture>` +
    `${features.join('')}</target>`
  )
}
