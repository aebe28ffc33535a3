import { checkInteger } from './check.ts'
import type { NativeScreenSize } from '../native/seam.ts'
import { invalid } from '../native/errors.ts'
import { checkShape, required } from './shape.ts'

/**
 * The pixels of a screen.
 *
 * @category Devices
 */
export interface ScreenSize extends NativeScreenSize {}

const maxUint32 = 2 ** 32 - 1

const sizeShape = {
  width: required((name, value) => checkInteger(name, value, 1, maxUint32)),
  height: required((name, value) => checkInteger(name, value, 1, maxUint32)),
}

/** `'text'`, or a size. */
export function checkScreen(name: string, value: unknown): 'text' | ScreenSize {
  if (value === 'text') return value
  if (typeof value !== 'object' || value === null)
    return invalid(name, "'text' or { width, height }", value)
  return checkShape(name, value, sizeShape)
}
