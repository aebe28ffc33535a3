import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { VmError } from '../../native/errors.ts'
import type { Baseline } from './baseline.ts'
import type { Kind } from '../document.ts'
import {
  callImage,
  computeImage,
  countImage,
  hltImage,
  mmioImage,
  pagesImage,
  stepImage,
  systemCallImage,
  userCallImage,
} from '../images.ts'

/** The program of `bench/raw.c` as a child process: one request at a time, a line each way. */
export class RawLoop implements Baseline {
  readonly name = 'raw-c'
  readonly about = 'C, built from bench/ with cc -O2: open, ioctl, mmap, kvm_run and nothing else'
  readonly #child: ChildProcess
  readonly #closed: Promise<void>
  readonly #signal: AbortSignal
  readonly #folder: string
  #received = ''
  #failure: string | undefined
  #waiter: { resolve: (line: string) => void; reject: (error: unknown) => void } | undefined

  constructor(program: string, signal: AbortSignal) {
    this.#signal = signal
    this.#folder = mkdtempSync(join(tmpdir(), 'vmexit-images-'))
    const ring0 = [countImage, mmioImage, hltImage, callImage, pagesImage, stepImage]
    const images = [...ring0, userCallImage, systemCallImage, computeImage]
    const paths = images.map((bytes, index) => {
      const path = join(this.#folder, String(index))
      writeFileSync(path, bytes)
      return path
    })
    this.#child = spawn(program, paths, { stdio: ['pipe', 'pipe', 'ignore'] })
    this.#child.stdout?.setEncoding('utf8').on('data', (text: string) => this.#receive(text))
    // It ended meanwhile: what it said last is the reason.
    this.#child.stdin?.on('error', () => undefined)
    this.#closed = new Promise((resolve) => {
      this.#child.on('error', (error) => {
        this.#end(error.message)
        resolve()
      })
      this.#child.on('close', (code, killer) => {
        this.#end(`it ended with ${killer ?? code}`)
        resolve()
      })
    })
    signal.addEventListener('abort', this.#kill, { once: true })
    if (signal.aborted) this.#kill()
  }

  /** It has its images and /dev/kvm. */
  async ready(): Promise<this> {
    try {
      await this.#answer()
    } finally {
      rmSync(this.#folder, { recursive: true })
    }
    return this
  }

  async total(kind: Kind, count: number): Promise<number> {
    const [ns] = await this.#ask(`${kind} ${count}`)
    return ns!
  }

  each(kind: Kind, count: number): Promise<number[]> {
    return this.#ask(`${kind}-each ${count}`)
  }

  async close(): Promise<void> {
    this.#signal.removeEventListener('abort', this.#kill)
    this.#child.stdin?.end()
    await this.#closed
  }

  readonly #kill = (): void => {
    this.#child.kill('SIGKILL')
  }

  #ask(request: string): Promise<number[]> {
    const answer = this.#answer()
    this.#child.stdin?.write(`${request}\n`)
    return answer
  }

  async #answer(): Promise<number[]> {
    const line = await new Promise<string>((resolve, reject) => {
      this.#waiter = { resolve, reject }
      if (this.#failure !== undefined) this.#end(this.#failure)
    })
    const [word, ...numbers] = line.split(' ')
    return word === 'ok' ? numbers.map(Number) : Promise.reject(failed(line))
  }

  #receive(text: string): void {
    this.#received += text
    const end = this.#received.indexOf('\n')
    if (end < 0) return
    const line = this.#received.slice(0, end)
    this.#received = this.#received.slice(end + 1)
    this.#waiter?.resolve(line)
  }

  #end(why: string): void {
    this.#failure = why
    this.#waiter?.reject(this.#signal.aborted ? this.#signal.reason : failed(why))
  }
}

function failed(why: string): VmError {
  return new VmError('ERR_KVM_IOCTL', `the raw C loop failed: ${why}`)
}
