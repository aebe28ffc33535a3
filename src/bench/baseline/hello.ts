import { fileURLToPath } from 'node:url'

import { VmError, raise } from '../../native/errors.ts'
import { compile } from './compile.ts'

const source = fileURLToPath(new URL('../../../bench/hello.c', import.meta.url))
const ways = [['musl-gcc'], ['cc']]
let built: Promise<string> | undefined

/** A static program that says hello: its path. With musl where that is installed. */
export function helloProgram(): Promise<string> {
  return (built ??= firstOf())
}

async function firstOf(): Promise<string> {
  const failures: unknown[] = []
  for (const [compiler = 'cc'] of ways) {
    try {
      return await compile(`hello-${compiler}`, [compiler], [source], ['-O2', '-static'])
    } catch (error) {
      failures.push(error)
    }
  }
  const why = failures.map((error) => (error as Error).message).join('; ')
  return raise(new VmError('ERR_KVM_CAPABILITY', `no static program: ${why}`))
}
