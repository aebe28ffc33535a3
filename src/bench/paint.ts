/** How a style begins and ends (ECMA-48, SGR). */
const styles = { green: [32, 39], red: [31, 39], yellow: [33, 39], dim: [2, 22], bold: [1, 22] }

/** A word in colour. */
export function paint(style: keyof typeof styles, text: string): string {
  const [on, off] = styles[style]
  return wantsColour() ? `\u001B[${on}m${text}\u001B[${off}m` : text
}

/** FORCE_COLOR decides, as in Node.js itself, then NO_COLOR, then whether a person reads. */
function wantsColour(): boolean {
  const { FORCE_COLOR: force, NO_COLOR: none } = process.env
  if (force !== undefined) return force !== '0' && force !== 'false'
  return !none && process.stdout.isTTY
}
