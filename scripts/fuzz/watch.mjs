// A child process that may crash or hang, watched from outside: it says lines of JSON, and is killed when it says nothing for too long.
import { spawn } from 'node:child_process'
import { readFileSync, readdirSync } from 'node:fs'

import { root } from '../run.mjs'

/** A child that says nothing for so long hangs: longer than whatever it waits for between two messages. */
export const SILENT_MS = Number(process.env.VMEXIT_SILENT_MS ?? 240_000)

/** Of what it writes to stderr, the end. */
const STDERR_CHARACTERS = 4000

/** Every line as it comes, without its end. */
function onLines(stream, take) {
  let rest = ''
  stream.setEncoding('utf8').on('data', (text) => {
    const lines = (rest + text).split('\n')
    rest = lines.pop()
    for (const line of lines) take(line)
  })
}

function read(path) {
  try {
    return readFileSync(path, 'utf8').trim()
  } catch {
    return '?'
  }
}

/** Where the threads of a process wait: name, kernel function, number of the system call. */
function threads(pid) {
  let tasks = []
  try {
    tasks = readdirSync(`/proc/${pid}/task`)
  } catch {
    return []
  }
  return tasks.map((task) => {
    const at = `/proc/${pid}/task/${task}`
    const state = /^State:\s+(\S)/m.exec(read(`${at}/status`))?.[1]
    const call = read(`${at}/syscall`).split(' ')[0]
    return `${read(`${at}/comm`)}: ${state} ${read(`${at}/wchan`)} ${call}`
  })
}

/**
 * Runs Node.js with `args` and hands each message to `onMessage`. Resolves to undefined when the child has said that it is over and left with
 * code 0; else to what happened to it, in words.
 */
export function watch({ args, env = {}, silentMs, onMessage }) {
  const child = spawn(process.execPath, args, {
    cwd: root,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let [over, stderr, hang] = [false, '', '']
  let timer
  const wait = () => {
    clearTimeout(timer)
    timer = setTimeout(() => {
      const how = over ? 'does not end, though all is done' : 'hangs'
      hang = `${how}: nothing for ${silentMs / 1000} s\n  ${threads(child.pid).join('\n  ')}\n`
      child.kill('SIGKILL')
    }, silentMs)
  }
  wait()
  onLines(child.stdout, (line) => {
    wait()
    const message = parse(line)
    if (message?.over) over = true
    if (message !== undefined) onMessage(message)
  })
  child.stderr.setEncoding('utf8').on('data', (text) => {
    stderr = (stderr + text).slice(-STDERR_CHARACTERS)
  })
  return new Promise((resolve) => {
    child.on('close', (code, signal) => {
      clearTimeout(timer)
      const how = hang || `ends with ${signal ?? `code ${code}`}\n`
      resolve(over && code === 0 ? undefined : `${how}${stderr}`.trimEnd())
    })
  })
}

/** What is no message of the child's own is of no account. */
function parse(line) {
  try {
    return JSON.parse(line)
  } catch {
    return undefined
  }
}
