import { codeNames, downCodes } from '../keyboard/codes.ts'

const prefix = 0xe0

/**
 * As QEMU's extension of RFB numbers keys: by their codes of set 1, with the high bit set for those
 * with the prefix 0xe0.
 */
const codes = new Map(
  codeNames.flatMap((name): [number, string][] => {
    const [first = 0, second] = downCodes(name)
    if (second === undefined) return [[first, name]]
    return first === prefix ? [[second | 0x80, name]] : []
  }),
)
// Keys that send more than one code: what viewers have for them.
codes.set(0x54, 'PrintScreen')
codes.set(0xc6, 'Pause')

/** The `KeyboardEvent.code` of a scan code. */
export function codeOf(scanCode: number): string | undefined {
  return codes.get(scanCode)
}
