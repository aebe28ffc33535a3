import type { Result } from '../job/job.ts'
import { plain, seconds } from './output.ts'

/** A result for people. */
export function lineOf({ id, status, value, error, attempts, host, durationMs }: Result): string {
  const tried = attempts === 1 ? '' : `  ${attempts} attempts`
  const what = error ? `${error.code}: ${error.message.split('\n')[0]}` : shown(value)
  return plain(`${status.padEnd(6)}  ${id}  ${seconds(durationMs)}  ${host}${tried}  ${what}`)
}

function shown(value: Result['value']): string {
  const { reason, exitCode } = Object(value) as { reason?: unknown; exitCode?: unknown }
  if (typeof reason !== 'string') return (JSON.stringify(value) ?? 'null').slice(0, 100)
  return typeof exitCode === 'number' ? `${reason} ${exitCode}` : reason
}
