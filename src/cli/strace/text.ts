import { constants } from 'node:os'
import { getSystemErrorMap } from 'node:util'

import type { SystemCall } from '../../process/index.ts'
import { type Kind, kinds } from './kinds.ts'
import { signatures } from './calls.ts'
import { type Seen, pointer } from './seen.ts'

/** The column of the equals sign, as strace has it. */
const RESULT_COLUMN = 40
/** What RAX can be that is an error (MAX_ERRNO). */
const MOST_ERRNO = 4095n

// Of two names for a number the first one is the usual.
const errnoNames = new Map(
  Object.entries(constants.errno)
    .toReversed()
    .map(([name, number]) => [number, name] as const),
)
const messages = getSystemErrorMap()
/** Where Node.js has other words than the kernel's users know. */
const usualMessages: Readonly<Record<string, string>> = {
  EFAULT: 'Bad address',
  EISDIR: 'Is a directory',
  ELOOP: 'Too many levels of symbolic links',
  ENAMETOOLONG: 'File name too long',
  ENOMEM: 'Cannot allocate memory',
  ENOTSUP: 'Operation not supported',
  ESPIPE: 'Illegal seek',
  EXDEV: 'Invalid cross-device link',
}

/** A call that is not over yet: what it was given, before it can be written over. */
export interface Begun {
  readonly call: SystemCall
  /** An argument that the call leaves something at has no text yet. */
  readonly texts: readonly (string | undefined)[]
  readonly kinds: readonly Kind[]
}

/** Looks at a call before it is answered. */
export function beginCall(call: SystemCall): Begun {
  const known = signatures.get(call.name)?.args ?? call.args.map(() => kinds['hex']!)
  const texts = known.map((kind, index) => {
    const value = call.args[index] ?? 0n
    return kind.isResult && value !== 0n ? undefined : kind.show(value, call, index)
  })
  return { call, texts, kinds: known }
}

/** Its line once it was answered: `rax` as the call returned it. */
export function endCall(begun: Begun, rax: bigint): string {
  const result = BigInt.asIntN(64, rax)
  const isError = result < 0n && result >= -MOST_ERRNO
  const seen: Seen = { args: begun.call.args, memory: begun.call.memory, result }
  const texts = begun.texts.map((text, index) => {
    const kind = begun.kinds[index]!
    if (text !== undefined || !kind.isResult) return text
    const value = begun.call.args[index] ?? 0n
    return isError ? pointer(value) : kind.show(value, seen, index)
  })
  const shown = signatures.get(begun.call.name)?.result.show(BigInt.asUintN(64, rax), seen, 0)
  return line(begun, texts, isError ? errorText(Number(-result)) : (shown ?? String(result)))
}

/** The line of a call that does not return; `?` is the end that it was made for. */
export function lineOfLast(begun: Begun): string {
  const isExit = /^exit(_group)?$/.test(begun.call.name)
  if (isExit) return line(begun, begun.texts, '?')
  // What it would leave is not known, and what comes after it is not shown either.
  const first = begun.kinds.findIndex((kind, index) => kind.isResult && !begun.texts[index])
  const before = begun.texts.slice(0, first < 0 ? undefined : first)
  const texts = before.filter((text) => text !== undefined)
  return `${begun.call.name}(${[...texts, '<unfinished ...>'].join(', ')}\n`
}

function line(begun: Begun, texts: readonly (string | undefined)[], result: string): string {
  const given = texts.filter((text) => text !== undefined).join(', ')
  return `${`${begun.call.name}(${given})`.padEnd(RESULT_COLUMN - 1)} = ${result}\n`
}

function errorText(errno: number): string {
  const name = errnoNames.get(errno) ?? `errno ${errno}`
  const message = usualMessages[name] ?? messages.get(-errno)?.[1] ?? ''
  const said = message === '' ? '' : ` (${message[0]!.toUpperCase()}${message.slice(1)})`
  return `-1 ${name}${said}`
}
