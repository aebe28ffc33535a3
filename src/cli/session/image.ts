import { readFileSync } from 'node:fs'

import { UsageError, type Values } from '../command.ts'

/** An option with a value. */
export function textOf(values: Values, name: string): string | undefined {
  return values[name] as string | undefined
}

/** The bytes of a file that the command line names. */
export function readImage(path: string, what = 'the image'): Uint8Array {
  try {
    return readFileSync(path)
  } catch (error) {
    return UsageError.raise(`cannot read ${what}: ${(error as Error).message}`)
  }
}

/** All that comes through stdin. */
export async function readStdin(): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  for await (const chunk of process.stdin) chunks.push(chunk as Uint8Array)
  return Buffer.concat(chunks)
}
