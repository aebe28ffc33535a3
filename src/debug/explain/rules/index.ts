import { type Rule, type Scene, isReal } from '../scene.ts'
import { biosMissing, codeRanOff, jumpNowhere, portDenied, unclaimed } from './code.ts'
import {
  csLAndD,
  lmeWithoutPae,
  modeUnsupported,
  notEmulated,
  pgWithoutPe,
  sseOff,
} from './control.ts'
import {
  gateNotPresent,
  gateType,
  gdtSelector,
  handlerUnmapped,
  idtMissing,
} from './descriptors.ts'
import {
  gigabytePage,
  noExecute,
  nonCanonical,
  pageNotPresent,
  pageProtection,
  reservedBit,
} from './pages.ts'
import { stackOverTables, stackUnmapped, stackWild, tssStack } from './stacks.ts'
import { describeVector, vectorRules } from './vectors.ts'

const registersLost: Rule = ({ registersKept, reason }) =>
  registersKept || reason !== 'shutdown'
    ? []
    : [
        {
          found: 'KVM has reset the vCPU, so its registers are not those of the crash',
          wanted: "a snapshot of before: explain({ replay: snapshot }), or faults: 'report'",
          manual: 'docs/crashes.md',
        },
      ]

const replayFailed: Rule = ({ registersKept, notes = [] }) =>
  registersKept
    ? []
    : notes.map((found) => ({
        found,
        wanted: 'a snapshot of a machine with one vCPU that leads to the same end',
        manual: 'docs/crashes.md',
      }))

/** RFLAGS.IF: interrupts are taken. */
const IF = 1n << 9n

const tripleFault: Rule = (scene) => {
  if (scene.reason !== 'shutdown' || scene.vector !== null) return []
  // KVM tells the vector of an interrupt as little as one that it does not know.
  const isOpen = !scene.registersKept || (scene.registers.rflags & IF) !== 0n
  const wasReal = scene.registersKept ? isReal(scene) : scene.mode === 'real'
  const what = isOpen ? 'an exception, or an interrupt,' : 'an exception'
  const table = isOpen ? 'an IDT with a gate for each interrupt, too' : 'an IDT'
  return [
    {
      found: `${what} could not be delivered, nor the double fault after it`,
      wanted: wasReal ? 'a vector table at 0' : `${table}, and a stack for its handlers`,
      manual: 'SDM 3A §7.15, vector 8',
    },
  ]
}

/** Whether rules that need the guest's registers make sense. */
const ofRegisters: Readonly<Record<string, Rule>> = {
  'mode-unsupported': modeUnsupported,
  'not-emulated': notEmulated,
  'cs-l-and-d': csLAndD,
  'lme-without-pae': lmeWithoutPae,
  'pg-without-pe': pgWithoutPe,
  'sse-off': sseOff,
  'port-denied': portDenied,
  'bios-missing': biosMissing,
  'non-canonical': nonCanonical,
  'jump-nowhere': jumpNowhere,
  'code-ran-off': codeRanOff,
  'page-1gib': gigabytePage,
  'page-reserved-bit': reservedBit,
  'page-no-execute': noExecute,
  'page-protection': pageProtection,
  'page-not-present': pageNotPresent,
  'stack-over-tables': stackOverTables,
  'stack-wild': stackWild,
  'stack-unmapped': stackUnmapped,
  'tss-rsp0': tssStack,
  'idt-missing': idtMissing,
  'idt-gate-not-present': gateNotPresent,
  'idt-gate-type': gateType,
  'idt-handler': handlerUnmapped,
  'gdt-selector': gdtSelector,
}

const always: Readonly<Record<string, Rule>> = {
  unclaimed,
  'replay-failed': replayFailed,
  'registers-lost': registersLost,
  'triple-fault': tripleFault,
  ...Object.fromEntries(
    vectorRules.map((name, vector): [string, Rule] => [
      name,
      (scene) => describeVector(scene, vector),
    ]),
  ),
}

/** Ends of guests that do what they shall. */
const SOUND = ['hlt', 'exit-port', 'power-off', 'reset', 'stopped']

/** Whether there is nothing to explain. */
const isSound = ({ reason }: Scene): boolean => SOUND.includes(reason)

/** The rules that there are for the end of a run. */
export function rulesFor(scene: Scene): [name: string, rule: Rule][] {
  if (isSound(scene)) return []
  const { registersKept } = scene
  return Object.entries(registersKept ? { ...ofRegisters, ...always } : always)
}

/** The name of every rule, in the order in which findings come. */
export const ruleNames: readonly string[] = Object.keys({ ...ofRegisters, ...always })
