import type { MachineStats } from '../../supervisor/interface.ts'
import { plain, print, printJson, table, tell } from '../output.ts'
import { type Told, exitCodeOf, told } from '../report.ts'
import { type Run, exitCodes } from '../verb.ts'

/** `vmexit stats`. */
export const stats: Run = async ({ values, words, client }) => {
  const daemon = await client()
  const names =
    words.length > 0
      ? [...new Set(words)]
      : (await daemon.list()).filter(({ pid }) => pid !== undefined).map(({ name }) => name)
  const asked = await Promise.all(
    names.map(async (name): Promise<Row | (Told & { machine: string })> => {
      try {
        return { name, ...(await daemon.stats(name)) }
      } catch (error) {
        return { machine: name, ...told(error) }
      }
    }),
  )
  const failures = asked.filter((each) => 'code' in each)
  // One that ends in this moment is none that was asked for.
  const reported = words.length > 0 ? failures : []
  for (const { machine, code, message } of reported) tell(`${plain(machine)}: ${code}: ${message}`)
  const rows = asked.filter((each) => 'exits' in each)
  const [first] = reported
  if (values['json'])
    printJson({
      machines: rows,
      ...(first && { error: { code: first.code, message: first.message }, errors: reported }),
    })
  else if (rows.length > 0) print(tableOf(rows))
  else if (!first) tell('no machine runs')
  return first ? exitCodeOf(first) : exitCodes.fine
}

interface Row extends MachineStats {
  readonly name: string
}

const mebibytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)}M`

function tableOf(rows: readonly Row[]): string {
  return table(
    ['NAME', 'VCPUS', 'MEMORY', 'RSS', 'CPU', 'EXITS', 'BY REASON'],
    rows.map((row) => [
      plain(row.name),
      row.vcpus.toString(),
      mebibytes(row.memoryBytes),
      mebibytes(row.rssBytes),
      `${(row.cpuMs / 1000).toFixed(2)}s`,
      row.exits.toString(),
      Object.entries(row.exitsByReason)
        .filter(([, count]) => count > 0)
        .toSorted(([, one], [, other]) => other - one)
        .map(([reason, count]) => `${plain(reason)} ${count}`)
        .join(', '),
    ]),
  )
}
