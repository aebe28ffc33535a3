import { createReadStream } from 'node:fs'

import { fleetError } from '../job/error.ts'
import type { Job } from '../job/job.ts'

/** Characters of a line, and of a file that is one array. */
const mostLine = 2 << 20
const mostArray = 64 << 20

/** The jobs of a file: JSON lines, of which no more are read than are needed, or one JSON array. */
export async function* jobsOf(path: string): AsyncGenerator<Job, void> {
  const input = path === '-' ? process.stdin : createReadStream(path)
  input.setEncoding('utf8')
  let number = 0
  for await (const line of linesOf(input as AsyncIterable<string>)) {
    number += 1
    if (number === 1 && line.startsWith('[')) {
      yield* arrayOf(path, line)
      return
    }
    if (line.trim() !== '') yield parse(`${path}:${number}`, line) as Job
  }
}

/** Lines; what begins with `[` is one of its own, whatever it has. */
async function* linesOf(input: AsyncIterable<string>): AsyncGenerator<string> {
  let rest = ''
  let isArray: boolean | undefined
  for await (const chunk of input) {
    rest += chunk
    if (isArray === undefined && rest.trimStart() !== '') {
      rest = rest.trimStart().replace(/^\uFEFF/, '')
      isArray = rest.startsWith('[')
    }
    const most = isArray ? mostArray : mostLine
    if (!isArray) {
      const lines = rest.split('\n')
      rest = lines.pop() ?? ''
      yield* lines
    }
    if (rest.length > most)
      throw fleetError(
        'ERR_LIMIT',
        `at most ${most} characters in ${isArray ? 'an array' : 'a line'}`,
      )
  }
  if (rest !== '') yield rest
}

function* arrayOf(path: string, line: string): Generator<Job> {
  const jobs = parse(path, line)
  if (!Array.isArray(jobs)) throw fleetError('ERR_INVALID_OPTION', `${path} is no array of jobs`)
  yield* jobs as Job[]
}

function parse(where: string, line: string): unknown {
  try {
    return JSON.parse(line)
  } catch (error) {
    throw fleetError('ERR_INVALID_OPTION', `${where} is no JSON: ${(error as Error).message}`)
  }
}
