import { formatOf } from '../../trace/file.ts'
import { UsageError, type Values } from '../command.ts'
import { textOf } from './image.ts'

/** The file that `--trace` asks for, whose ending says its format. */
export function traceFileOf(values: Values): string | undefined {
  const path = textOf(values, 'trace')
  if (path === undefined || formatOf(path)) return path
  return UsageError.raise(`--trace must end with .json, .jsonl, .bin or .trace, got '${path}'`)
}
