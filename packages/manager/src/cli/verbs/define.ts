import { text } from 'node:stream/consumers'

import { readDefinition } from '../../definition/index.ts'
import { print, printJson } from '../output.ts'
import { type Run, UsageError, exitCodes, textOf } from '../verb.ts'
import { describe, summaryOf } from './act.ts'

/** Bytes of stdin that are read; the daemon has a limit of its own. */
const maxBytes = 16 * 1024 * 1024

/** `vmexit define`. */
export const define: Run = async ({ values, words: [file = '-'], client }) => {
  const { definition, base } =
    file === '-'
      ? { definition: await fromStdin(), base: process.cwd() }
      : await readDefinition(file)
  const name = textOf(values, 'name')
  const named =
    name !== undefined && typeof definition === 'object' && definition !== null
      ? { ...definition, name }
      : definition
  const view = await (await client()).define(named, { base })
  if (values['json']) printJson({ machines: [summaryOf(view)] })
  else print(describe(view))
  return exitCodes.fine
}

async function fromStdin(): Promise<unknown> {
  let bytes = 0
  const counted = process.stdin.map((chunk: Buffer) => {
    bytes += chunk.length
    if (bytes > maxBytes) throw new UsageError(`stdin has more than ${maxBytes} bytes`)
    return chunk
  })
  const read = await text(counted)
  try {
    return JSON.parse(read)
  } catch (error) {
    throw new UsageError(`stdin is no JSON: ${(error as Error).message}`)
  }
}
