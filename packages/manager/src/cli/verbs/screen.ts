import { randomUUID } from 'node:crypto'
import {
  closeSync,
  constants,
  openSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join, resolve } from 'node:path'

import { print, printJson } from '../output.ts'
import { type Run, UsageError, exitCodes, textOf } from '../verb.ts'

/** `vmexit screen`. */
export const screen: Run = async ({ values, words: [machine = ''], client }) => {
  const file = textOf(values, 'png')
  if (file === undefined) throw new UsageError('screen needs --png FILE')
  if (file === '-' && (values['json'] || process.stdout.isTTY))
    throw new UsageError('--png - writes the picture to stdout, which must be a pipe or file')
  const png = await (await client()).screenshot(machine)
  if (file === '-') {
    process.stdout.write(png)
    return exitCodes.fine
  }
  writeWhole(resolve(file), png)
  if (values['json']) printJson({ file: resolve(file), bytes: png.length })
  else print(`${file} has ${png.length} bytes`)
  return exitCodes.fine
}

/** A picture that was there stays until the new one is whole. A device or a pipe stays one. */
function writeWhole(path: string, bytes: Uint8Array): void {
  try {
    const place = placeOf(path)
    if (place === undefined) fill(openSync(path, constants.O_WRONLY), bytes)
    else replace(place, bytes)
  } catch (error) {
    throw new UsageError(`cannot write the picture: ${(error as Error).message}`)
  }
}

/** The file that is to be replaced, at the end of all links; nothing for what is no file. */
function placeOf(path: string): string | undefined {
  const found = statSync(path, { throwIfNoEntry: false })
  if (!found) return path
  return found.isFile() ? realpathSync(path) : undefined
}

function replace(path: string, bytes: Uint8Array): void {
  const aside = join(dirname(path), `.${randomUUID()}.png`)
  const file = openSync(aside, 'wx')
  try {
    fill(file, bytes)
    renameSync(aside, path)
  } catch (error) {
    rmSync(aside)
    throw error
  }
}

function fill(file: number, bytes: Uint8Array): void {
  try {
    writeFileSync(file, bytes)
  } finally {
    closeSync(file)
  }
}
