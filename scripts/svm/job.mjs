// A job: steps, done by one machine or by several that share them.
import {
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  readlinkSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { StringDecoder } from 'node:string_decoder'
import { setTimeout as sleep } from 'node:timers/promises'
import { Failure, root } from '../run.mjs'
import { temporaryDirectory } from '../scope.mjs'
import { bundleAva } from './bundle.mjs'
import { layOut, layOutGuest, stepFolder } from './init.mjs'
import { Machine } from './machine.mjs'
import { fetchParts } from './parts.mjs'

const POLL_MS = 50
const CHUNK_BYTES = 64 * 1024

/** Where `__test__/linux.spec.ts` looks for a kernel. */
const GUEST = '/opt/linux'

export const say = (line) => process.stderr.write(`svm: ${line}\n`)

/** Gives what a growing file has got since the last call. */
function follow(path) {
  const decoder = new StringDecoder('utf8')
  const buffer = Buffer.alloc(CHUNK_BYTES)
  let descriptor
  return () => {
    if (!existsSync(path)) return ''
    descriptor ??= openSync(path)
    let text = ''
    for (let length; (length = readSync(descriptor, buffer)) > 0;) {
      text += decoder.write(buffer.subarray(0, length))
    }
    return text
  }
}

/** A step as its folder shows it: by `machine` it was taken, and `end` says how it ended. */
class Step {
  machine
  end

  constructor(folder, { title, seconds, take }) {
    Object.assign(this, { folder, title, seconds, take })
    this.files = ['out', 'err'].map((name) => follow(join(folder, name)))
  }

  look() {
    if (this.end || !existsSync(join(this.folder, 'out'))) return
    if (!this.machine) {
      this.machine = readlinkSync(join(this.folder, 'machine'))
      this.since = Date.now()
    }
    // Asked before the files are read, so that they are read once more after the end.
    const path = join(this.folder, 'status')
    const status = existsSync(path) ? readFileSync(path, 'utf8').trim() : ''
    for (const [index, file] of this.files.entries()) {
      const text = file()
      if (text !== '') this.take(text, index, this.machine)
    }
    if (status === '') return
    // `timeout` ends it by SIGTERM, and then by SIGKILL.
    const seconds = (Date.now() - this.since) / 1000
    const late = [124, 137].includes(Number(status)) && seconds >= this.seconds
    this.end = { status: late ? 124 : Number(status), late }
  }
}

/** What the steps find in their environment. */
function environment(folder, { passt }) {
  // Without npm, as it takes seconds to start: it runs the commands of this project and its packages.
  const bin = join(folder, 'bin')
  mkdirSync(bin)
  writeFileSync(join(bin, 'npx'), '#!/bin/sh\nexec "$@"\n', { mode: 0o755 })
  const places = [bin, join(root, 'node_modules', '.bin'), dirname(process.execPath), passt]
  return {
    HOME: '/tmp',
    XDG_CACHE_HOME: '/tmp/.cache',
    LANG: 'C.UTF-8',
    PATH: [...places, process.env.PATH].join(':'),
    CI: '1',
    VMEXIT_REQUIRE_KVM: '1',
  }
}

/**
 * Runs the job `{ steps, binds, together, machines }`. A step is `{ title, directory, command,
 * seconds, take }`, and `take(text, stream, machine)` gets its output. Each machine takes the next
 * step when it is done with one, and has the folders of `binds` at other places. Returns `{ ends,
 * troubles, aborted }`: how each step ended (`{ status, late }`), undefined if it did not, what
 * ended machines early, and whether QEMU did so itself.
 */
export async function runJob({ steps, binds = {}, together = false, machines = 1 }) {
  const folder = temporaryDirectory()
  const parts = await fetchParts(say)
  const [ava, guest] = ['ava', 'guest'].map((name) => join(folder, name))
  await bundleAva(ava)
  await layOutGuest(guest, parts)
  const all = { ...binds, [join(root, 'node_modules', 'ava')]: ava, [GUEST]: guest }
  const job = { steps, binds: all, together, environment: environment(folder, parts) }
  await layOut(folder, parts, job)
  const shown = steps.map((step, index) => new Step(join(folder, stepFolder(index)), step))
  const onReady = (ms) => say(`/dev/kvm was there after ${(ms / 1000).toFixed(1)} s`)
  const names = Array.from({ length: machines }, (_, index) => String(index + 1))
  const running = names.map((name) => new Machine(parts, folder, name, onReady))
  for (let isOver = false; !isOver; await sleep(POLL_MS)) {
    isOver = running.every(({ end }) => end)
    for (const each of shown) each.look()
    for (const machine of running) machine.look(shown)
  }
  return {
    ends: shown.map(({ end }) => end),
    troubles: running.map(({ trouble }) => trouble).filter(Boolean),
    aborted: running.some(({ end }) => end.signal === 'SIGABRT'),
  }
}

/** Runs a command in the project's directory inside, and returns its exit code. */
export async function runCommand(command, seconds) {
  const take = (text, stream) => [process.stdout, process.stderr][stream].write(text)
  const step = { title: command[0], directory: root, command, seconds, take }
  const { ends, troubles } = await runJob({ steps: [step] })
  if (troubles.length > 0) throw new Failure(troubles.join('\n'))
  if (ends[0].late) say(`${command[0]} was not done after ${seconds} s`)
  return ends[0].status
}
