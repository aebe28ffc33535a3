import { fleetError } from './error.ts'
import { definitionWith, hashAt } from './images.ts'
import type { Job } from './job.ts'

/** Bounds of what a job may be; what comes from a queue can be anything. */
export const jobLimits = {
  /** Characters of its JSON. */
  json: 1 << 20,
  timeoutMs: 86_400_000,
  memoryBytes: 2 ** 36,
  outputBytes: 16 << 20,
  /** Arguments, files, and words of its environment. */
  words: 10_000,
} as const

type Members = Record<string, unknown>
type Check = (name: string, value: unknown) => void

function wrong(name: string, expected: string): never {
  throw fleetError('ERR_INVALID_OPTION', `${name} must be ${expected}`)
}

const isObject = (value: unknown): value is Members =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const text = (name: string, value: unknown): void => {
  if (typeof value !== 'string' || value.includes('\0')) wrong(name, 'a string without NUL')
}

const texts: Check = (name, value) => {
  if (!Array.isArray(value) || value.length > jobLimits.words)
    return wrong(name, `an array of at most ${jobLimits.words}`)
  for (const [at, item] of value.entries()) text(`${name}[${at}]`, item)
}

const whole =
  (most: number, least = 1): Check =>
  (name, value) => {
    const fits = Number.isSafeInteger(value) && Number(value) >= least && Number(value) <= most
    if (!fits) wrong(name, `a whole number from ${least} to ${most}`)
  }

const word =
  (words: readonly string[]): Check =>
  (name, value) => {
    if (!words.includes(value as string)) wrong(name, `one of ${words.join(', ')}`)
  }

const hash: Check = (name, value) => void hashAt(name, value)
const any: Check = () => undefined

/** An object with these keys and no other. */
const object =
  (keys: Readonly<Record<string, Check>>, required: readonly string[] = []): Check =>
  (name, value) => {
    if (!isObject(value)) return wrong(name, 'an object')
    for (const key of Object.keys(value)) {
      const check = Object.hasOwn(keys, key) ? keys[key] : undefined
      if (!check) wrong(name, `made of ${Object.keys(keys).join(', ')}, and not of '${key}'`)
      check?.(`${name}.${key}`, value[key])
    }
    for (const key of required) if (!Object.hasOwn(value, key)) wrong(`${name}.${key}`, 'there')
  }

const record =
  (of: Check): Check =>
  (name, value) => {
    if (!isObject(value) || Object.keys(value).length > jobLimits.words)
      return wrong(name, `an object with at most ${jobLimits.words} keys`)
    for (const [key, item] of Object.entries(value)) {
      text(`a key of ${name}`, key)
      of(`${name}['${key.slice(0, 60)}']`, item)
    }
  }

const file: Check = (name, value) => (typeof value === 'string' ? undefined : hash(name, value))

const call: Check = (name, value) => {
  if (!Array.isArray(value) || value.length < 2 || value.length > 66)
    return wrong(name, 'a name, a signature and up to 64 arguments')
  text(`${name}[0]`, value[0])
  text(`${name}[1]`, value[1])
}

const ofHash: Check = (_, value) => void hashAt('native', { hash: value })

const program = object(
  { hash: ofHash, path: text, args: texts, env: record(text), files: record(file), stdin: text },
  ['hash'],
)
const library = object({ hash: ofHash, call }, ['hash'])

const native: Check = (name, value) =>
  isObject(value) && Object.hasOwn(value, 'call') ? library(name, value) : program(name, value)

const keys: Readonly<Record<keyof Job, Check>> = {
  id(name, value) {
    if (typeof value !== 'string' || !/^[\w.:-]{1,200}$/.test(value))
      wrong(name, '1 to 200 of A-Z a-z 0-9 . _ : -')
  },
  definition: (_, value) => void definitionWith(value, (found) => found),
  snapshot: hash,
  native,
  module(name, value) {
    if (typeof value !== 'string' || !/^[a-z0-9-]{1,100}$/.test(value))
      wrong(name, 'a name of a-z 0-9 -, and no path')
  },
  input: any,
  limits: object({
    timeoutMs: whole(jobLimits.timeoutMs),
    memoryBytes: whole(jobLimits.memoryBytes, 4096),
    maxOutputBytes: whole(jobLimits.outputBytes, 0),
  }),
  needs: object({ backend: word(['kvm_intel', 'kvm_amd', 'kvm_pvm']), modes: texts }),
}

/**
 * Checks what came from a caller, a file or a queue, and returns a copy that is plain data. Throws
 * `ERR_INVALID_OPTION` with what is wrong, and `ERR_LIMIT` for a job that is too large.
 */
export function checkJob(value: unknown): Job {
  const copy = plain(value)
  const id =
    isObject(copy) && typeof copy['id'] === 'string' ? ` '${copy['id'].slice(0, 200)}'` : ''
  const name = `job${id}`
  object(keys, ['id'])(name, copy)
  const job = copy as unknown as Job
  const given = [job.definition, job.snapshot, job.native].filter((each) => each !== undefined)
  if (given.length > 1 || (given.length === 0 && job.module === undefined))
    wrong(name, 'given one of definition, snapshot and native, or a module')
  return job
}

/** As JSON has it, so that nothing of it is a getter or a proxy. */
function plain(value: unknown): unknown {
  let json: string | undefined
  try {
    json = JSON.stringify(value)
  } catch (error) {
    throw fleetError('ERR_INVALID_OPTION', `a job must be data: ${(error as Error).message}`, error)
  }
  if (json === undefined) return wrong('a job', 'an object')
  if (json.length > jobLimits.json)
    throw fleetError(
      'ERR_LIMIT',
      `a job has at most ${jobLimits.json} characters of JSON, this one ${json.length}; ` +
        'put what is large into the store',
    )
  return JSON.parse(json)
}
