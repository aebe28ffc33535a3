import { randomUUID } from 'node:crypto'
import { renameSync, rmSync, writeFileSync } from 'node:fs'
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

/** A picture that was there stays until the new one is whole. */
function writeWhole(path: string, bytes: Uint8Array): void {
  const aside = join(dirname(path), `.${randomUUID()}.png`)
  try {
    writeFileSync(aside, bytes)
    renameSync(aside, path)
  } catch (error) {
    rmSync(aside, { force: true })
    throw new UsageError(`cannot write the picture: ${(error as Error).message}`)
  }
}
