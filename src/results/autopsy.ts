import type { Instruction } from './instruction.ts'
import type { Walk } from './walk.ts'

/**
 * What a rule has to say of the end of a run.
 *
 * @category Faults
 */
export interface Finding {
  /** The rule's name; docs/crashes.md has causes and remedies by it. */
  readonly rule: string
  /** What is so. */
  readonly found: string
  /** What would have to be so. */
  readonly wanted: string
  /** Where the processor's manual, or KVM's, says it. */
  readonly manual: string
}

/**
 * Options of `explain()`.
 *
 * @category Faults
 */
// What else there is follows where machines are known.
export interface ExplainOptions {}

/** What an autopsy is made of. */
export interface AutopsyParts {
  readonly title: string
  readonly vector: number | null
  readonly instruction: Instruction | null
  /** The registers that the instruction names, with their values. */
  readonly operands: string
  readonly findings: readonly Finding[]
  readonly walk: Walk | null
}

/**
 * Why a run ended as it did, as far as registers and memory tell.
 *
 * @example
 * ```ts
 * using vm = new VirtualMachine({ mode: 'long', payload: guests.hello })
 * const [first] = vm.runSync().explain().findings
 * console.log(first?.rule, '-', first?.found) // unclaimed - no route claims port 0xe9
 * ```
 *
 * @category Faults
 */
export class Autopsy {
  /** The exception's vector, 0 to 31, if one is known. */
  readonly vector: number | null
  /** The instruction that the vCPU was at; `null` after an access, when it may be the next one. */
  readonly instruction: Instruction | null
  /** The likely causes, the likeliest first. None for a guest that is sound. */
  readonly findings: readonly Finding[]
  /** The page walk for the address that could not be reached. */
  readonly walk: Walk | null
  readonly #title: string
  readonly #operands: string

  /** @internal */
  constructor({ title, vector, instruction, operands, findings, walk }: AutopsyParts) {
    this.vector = vector
    this.instruction = instruction
    this.findings = findings
    this.walk = walk
    this.#title = title
    this.#operands = operands
  }

  /**
   * As text of several lines: how the run ended, the instruction, the findings, the walk.
   *
   * @example
   * ```ts
   * using vm = new VirtualMachine({ mode: 'long', payload: guests.hello })
   * const [, line] = String(vm.runSync().explain()).split('\n')
   * console.log(line) //   unclaimed: no route claims port 0xe9
   * ```
   */
  toString(): string {
    const { instruction, walk } = this
    const lines = [this.#title]
    if (instruction) lines.push(`  at ${describeInstruction(instruction)}`)
    if (this.#operands !== '') lines.push(`     with ${this.#operands}`)
    for (const { rule, found, wanted, manual } of this.findings)
      lines.push(`  ${rule}: ${found}`, `     wanted: ${wanted} (${manual})`)
    if (walk && (walk.levels.length > 0 || walk.miss)) lines.push(...describeWalk(walk))
    return lines.join('\n')
  }
}

function describeInstruction({ address, bytes, text, symbol }: Instruction): string {
  const place = `0x${address.toString(16)}${symbol === undefined ? '' : ` <${symbol}>`}`
  return `${place}: ${Buffer.from(bytes).toString('hex')}  ${text}`
}

function describeWalk({ address, levels, page, miss }: Walk): string[] {
  const last = page
    ? `page of ${page.pageBytes} bytes at gpa 0x${page.gpa.toString(16)} (${rights(page)})`
    : `ends at ${miss?.level ?? 'no level'}: ${miss?.why ?? 'no page'}`
  return [
    `  page walk of 0x${address.toString(16)}`,
    ...levels.map(({ name, gpa, entry, present, ...flags }) => {
      const says = present ? rights(flags) : 'not present'
      return `     ${name.padEnd(4)} 0x${gpa.toString(16)}: 0x${entry.toString(16)} (${says})`
    }),
    `     ${last}`,
  ]
}

function rights(of: { user: boolean; writable: boolean; executable: boolean }): string {
  const words = [of.user ? 'user' : 'kernel', of.writable ? 'writable' : 'read-only']
  return [...words, ...(of.executable ? [] : ['not executable'])].join(', ')
}
