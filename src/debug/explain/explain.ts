import { Autopsy, type Finding } from '../../results/autopsy.ts'
import { isSound, rulesFor } from './rules/index.ts'
import { type Scene, isCanonical, isLong, isReal, ripOf } from './scene.ts'

/** What the rules find in it, and the page walk that matters. */
export function explainScene(scene: Scene, title: string): Autopsy {
  const findings = rulesFor(scene).flatMap(([rule, find]): Finding[] =>
    find(scene).map((found) => ({ rule, ...found })),
  )
  const { vector, instruction, registersKept, notes = [] } = scene
  return new Autopsy({
    title: [title, ...(registersKept ? notes : [])].join('\n  '),
    vector,
    instruction: registersKept && !isSound(scene) ? instruction : null,
    operands: operandsOf(scene),
    findings,
    walk: walkOf(scene),
  })
}

/** That of the address of a page fault, or else of RIP. */
function walkOf(scene: Scene): Scene['walk'] extends (at: bigint) => infer W ? W | null : never {
  const { reason, address, registersKept } = scene
  const isCrash = ['fault', 'shutdown', 'internal-error', 'fail-entry'].includes(reason)
  if (!isCrash || !registersKept || isReal(scene)) return null
  const at = address ?? ripOf(scene)
  if (isLong(scene) && !isCanonical(scene, at)) return null
  return scene.walk(at)
}

/** The general registers that an instruction may name, by any of their widths. */
const named = /\b(?:[re]?([abcd])[xlh]|[re]?(si|di|sp|bp)l?|(r(?:[89]|1[0-5]))[dwb]?)\b/g

/** The registers that the instruction names, with their values. */
function operandsOf(scene: Scene): string {
  const { instruction, registers, registersKept } = scene
  if (!instruction || !registersKept || isSound(scene)) return ''
  const names = [...instruction.text.matchAll(named)].map(([, letter, pair, high]) =>
    letter ? `r${letter}x` : pair ? `r${pair}` : high!,
  )
  const values = registers as Readonly<Record<string, bigint>>
  return [...new Set(names)].map((name) => `${name} 0x${values[name]?.toString(16)}`).join(', ')
}
