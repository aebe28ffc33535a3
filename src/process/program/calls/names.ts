import { fail } from '../../../native/errors.ts'
import { native } from '../../../native/native.ts'
import { suggestion } from '../../../options/nearest.ts'

const all = native.systemCalls()
const names = new Map(all.map(({ number, name }) => [number, name]))
const numbers = new Map(all.map(({ number, name }) => [name, number]))

/** What a system call is called; `syscall_500` if it has no name. */
export function nameOf(number: number): string {
  return names.get(number) ?? `syscall_${number}`
}

/** The number of a system call. `ERR_INVALID_OPTION` for a name that is none. */
export function numberOf(name: string): number {
  const number = numbers.get(name)
  if (number !== undefined) return number
  const what = `${JSON.stringify(name)} is no system call of x86-64 Linux`
  return fail('ERR_INVALID_OPTION', what + suggestion(name, [...numbers.keys()]))
}
