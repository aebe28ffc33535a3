import type { MachineState } from '../supervisor/interface.ts'

const colours = { red: 31, green: 32, yellow: 33, dim: 2 }

/** What a state looks like. */
const stateColours: Partial<Record<MachineState, keyof typeof colours>> = {
  running: 'green',
  starting: 'yellow',
  stopping: 'yellow',
  paused: 'yellow',
  crashed: 'red',
  defined: 'dim',
  ended: 'dim',
}

/** FORCE_COLOR decides, as in Node.js itself, then NO_COLOR, then whether a person reads. */
function isColoured(): boolean {
  const { FORCE_COLOR: force, NO_COLOR: none } = process.env
  if (force !== undefined) return force !== '0' && force !== 'false'
  return !none && process.stdout.isTTY === true
}

/** A state in its colour. */
export function paintState(state: MachineState, text: string = state): string {
  const colour = stateColours[state]
  return colour === undefined || !isColoured() ? text : `\u001B[${colours[colour]}m${text}\u001B[0m`
}

/** One JSON document on stdout. */
export function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value, null, 2)}\n`)
}

/** A line on stdout. */
export function print(line: string): void {
  process.stdout.write(`${line}\n`)
}

/** A line on stderr: progress, and what is no result. */
export function tell(line: string): void {
  process.stderr.write(`vmexit: ${line}\n`)
}

/** What others chose, so that no byte of it moves a cursor. */
export function plain(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}]/gu, '\uFFFD')
}

/** Columns, each as wide as its widest cell; `paint` colours a cell after it is padded. */
export function table(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  paint: (cell: string, row: number, column: number) => string = (cell) => cell,
): string {
  const widths = head.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)),
  )
  const padded = (cell: string, column: number): string =>
    column === head.length - 1 ? cell : cell.padEnd((widths[column] ?? 0) + 2)
  const lines = rows.map((row, at) =>
    row
      .map((cell, column) => paint(padded(cell, column), at, column))
      .join('')
      .trimEnd(),
  )
  return [head.map(padded).join('').trimEnd(), ...lines].join('\n')
}
