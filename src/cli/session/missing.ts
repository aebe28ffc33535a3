import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { Transform } from 'node:stream'

import type { ProcessResult } from '../../process/index.ts'

/** As much of the end of stderr as a loader's last words need. */
const KEPT_BYTES = 4096

/** Where loaders look for libraries. */
const folders = [
  '/lib/x86_64-linux-gnu',
  '/usr/lib/x86_64-linux-gnu',
  '/lib64',
  '/usr/lib64',
  '/lib',
  '/usr/lib',
  '/usr/local/lib',
]

/** What glibc's loader says of a library that is not there, and what musl's says. */
const loaders = [
  /error while loading shared libraries: (\S+): cannot open shared object file/,
  /Error loading shared library (\S+): No such file/,
]

/** What does without what they ask for. */
const undemanding = ['prctl', 'setuid', 'setgid', 'setgroups', 'membarrier', 'rseq', 'vhangup']
/** The process says itself that it has no threads. */
const told = ['clone', 'clone3', 'fork', 'vfork']
const quiet = new Set([...undemanding, ...told])

/** Lets error output through, and keeps its end. */
export class LastWords extends Transform {
  #last = Buffer.alloc(0)

  override _transform(chunk: Buffer, _: string, done: (error: null, chunk: Buffer) => void): void {
    this.#last = Buffer.concat([this.#last, chunk]).subarray(-KEPT_BYTES)
    done(null, chunk)
  }

  get text(): string {
    return this.#last.toString()
  }
}

/** What a program that has failed seems to have missed, in a line; empty if that is nothing. */
export function describeMissing(result: ProcessResult, lastWords: string): string {
  if (result.exitCode === 0) return ''
  const [, library] = loaders.map((said) => said.exec(lastWords)).find(Boolean) ?? []
  if (library !== undefined) {
    const folder = folders.find((path) => existsSync(join(path, library)))
    return `it is not given ${library}: add --dir ${folder ?? 'FOLDER'}:ro`
  }
  const refused = Object.keys(result.refused).filter((name) => !quiet.has(name))
  return refused.length > 0 ? `nothing answers what it asked for: ${refused.join(', ')}` : ''
}
