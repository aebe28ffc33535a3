/** What the 256 codes of a text screen show: code page 437, with blanks for NUL and 0xff. */
const characters = Array.from(
  ' ☺☻♥♦♣♠•◘○◙♂♀♪♫☼►◄↕‼¶§▬↨↑↓→←∟↔▲▼' +
    Array.from({ length: 95 }, (_, index) => String.fromCharCode(0x20 + index)).join('') +
    '⌂' +
    'ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒ' +
    'áíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐' +
    '└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀' +
    'αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■ ',
)

const columns = 80

/** The lines of a text screen, of character and attribute for each cell. */
export function linesOf(cells: Uint8Array): string[] {
  const lines = []
  for (let at = 0; at < cells.length; at += columns * 2) {
    let line = ''
    for (let cell = at; cell < at + columns * 2; cell += 2) line += characters[cells[cell]!]
    lines.push(line)
  }
  return lines
}
