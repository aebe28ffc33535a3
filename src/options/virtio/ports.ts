import { fail, invalid } from '../../native/errors.ts'
import { native } from '../../native/native.ts'
import { checkArray, checkString } from '../check.ts'

const { maxPorts } = native.limits()

/** What a port's name may be: the guest makes a file name of it. */
export const portPattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/
export const portExpected = 'up to 63 letters, digits, ., _ and -, beginning with a letter or digit'

/** Checks the names of ports. */
export function checkPorts(name: string, value: unknown): string[] {
  const names = checkArray(name, value, maxPorts, (item, at) => {
    const text = checkString(at, item)
    return portPattern.test(text) ? text : invalid(at, portExpected, text)
  })
  for (const [index, each] of names.entries()) {
    const first = names.indexOf(each)
    if (first !== index)
      fail('ERR_INVALID_OPTION', `${name}[${index}] is named as ${name}[${first}] is, '${each}'`)
  }
  return names
}
