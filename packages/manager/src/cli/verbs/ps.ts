import type { MachineView } from '../../supervisor/interface.ts'
import { paintState, plain, print, printJson, table, tell } from '../output.ts'
import { type Run, exitCodes } from '../verb.ts'
import { summaryOf } from './act.ts'

/** `vmexit ps`. */
export const list: Run = async ({ values, client }) => {
  const machines = await (await client()).list()
  if (values['json']) printJson({ machines: machines.map(summaryOf) })
  else if (values['quiet']) process.stdout.write(machines.map(({ name }) => `${name}\n`).join(''))
  else if (machines.length === 0) tell('no machines; `vmexit define FILE` stores one')
  else print(tableOf(machines))
  return exitCodes.fine
}

function tableOf(machines: readonly MachineView[]): string {
  const rows = machines.map((machine) => [
    plain(machine.name),
    machine.state,
    machine.pid?.toString() ?? '-',
    machine.startedAt ?? '-',
    remark(machine),
  ])
  return table(['NAME', 'STATE', 'PID', 'STARTED', ''], rows, (cell, row, column) =>
    column === 1 ? paintState(machines[row]!.state, cell) : cell,
  )
}

function remark({ reason, exitCode, saved }: MachineView): string {
  return [
    ...(reason === undefined ? [] : [plain(reason)]),
    ...(exitCode === undefined ? [] : [`code ${exitCode}`]),
    ...(saved ? ['saved'] : []),
  ].join(', ')
}
