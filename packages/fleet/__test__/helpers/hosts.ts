// Hosts as network namespaces, joined by a bridge at which Redis and the producer are.
import {
  type ChildProcess,
  type StdioOptions,
  execFile,
  spawn,
  spawnSync,
} from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'

import type { ExecutionContext } from 'ava'

import { until } from '../../../../__test__/fixtures/until.ts'

/** The bridge's own address. */
export const bridge = '10.213.0.1'

const OWN = ['--user', '--map-root-user', '--net', '--mount']

// cat: when the test is gone, its input ends, and with it the namespace.
const BRIDGE = `set -e
ip link set lo up
ip link add br0 type bridge
ip addr add ${bridge}/24 dev br0
ip link set br0 up
echo ready
exec cat`

/** Why there are no such namespaces here; `undefined` where there are. */
export function lackOfNamespaces(): string | undefined {
  const script = `${BRIDGE.replace('exec cat', '')}ip link add v0 type veth peer name v1`
  const { status, stderr, error } = spawnSync('unshare', [...OWN, 'sh', '-c', script], {
    encoding: 'utf8',
  })
  if (status === 0) return undefined
  return `no network namespaces: ${error?.message ?? stderr.trim().split('\n').at(-1)}`
}

const run = promisify(execFile)

/** What keeps a namespace, which its pid names. */
async function keeper(t: ExecutionContext, words: readonly string[]): Promise<number> {
  const [command, ...args] = words
  const child = spawn(command!, args, { stdio: ['pipe', 'pipe', 'inherit'] })
  t.teardown(() => child.kill('SIGKILL'))
  await once(child.stdout, 'data')
  return child.pid!
}

/** Words that start a command in the namespaces of a process. */
const inside = (pid: number, words: readonly string[]): string[] => [
  ...['nsenter', '--target', `${pid}`, '--user', '--net', '--preserve-credentials', '--'],
  ...words,
]

/** Runs a command in the namespaces of a process. */
async function at(pid: number, ...words: string[]): Promise<void> {
  const [command, ...args] = inside(pid, words)
  await run(command!, args)
}

/** A host: what runs on it can be killed, and its link cut. */
export class Host {
  readonly name: string
  /** The lines that its processes have written. */
  readonly said: string[] = []
  readonly #rack: number
  readonly #pid: number
  readonly #link: string
  #process: ChildProcess | undefined

  constructor(name: string, rack: number, pid: number, link: string) {
    this.name = name
    this.#rack = rack
    this.#pid = pid
    this.#link = link
  }

  /** Starts a process and what it starts; the one before it must have ended. */
  start(words: readonly string[]): ChildProcess {
    const [command, ...args] = inside(this.#pid, words)
    const env = { ...process.env, FLEET_HOST: this.name }
    // A group of its own, so that all of it can be killed.
    const stdio: StdioOptions = ['ignore', 'pipe', 'inherit']
    this.#process = spawn(command!, args, { env, detached: true, stdio })
    createInterface({ input: this.#process.stdout! }).on('line', (line) => this.said.push(line))
    return this.#process
  }

  /** Kills everything that runs on it, at once. */
  async kill(): Promise<void> {
    const child = this.#process
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    process.kill(-child.pid!, 'SIGKILL')
    await until(() => child.exitCode !== null || child.signalCode !== null)
  }

  /** Takes the cable out, or puts it in. */
  async link(state: 'down' | 'up'): Promise<void> {
    await at(this.#rack, 'ip', 'link', 'set', this.#link, state)
  }
}

/** Hosts at a bridge. */
export class Rack {
  readonly hosts: readonly Host[]
  readonly #pid: number

  private constructor(pid: number, hosts: readonly Host[]) {
    this.#pid = pid
    this.hosts = hosts
  }

  /** Makes so many hosts, which end with the test. */
  static async open(t: ExecutionContext, count: number): Promise<Rack> {
    const pid = await keeper(t, ['unshare', ...OWN, 'sh', '-c', BRIDGE])
    const hosts: Host[] = []
    for (let index = 0; index < count; index++) {
      const script = 'ip link set lo up && echo ready && exec cat'
      const own = await keeper(t, inside(pid, ['unshare', '--net', 'sh', '-c', script]))
      const link = `host${index}`
      const pair = ['ip', 'link', 'add', link, 'type', 'veth']
      await at(pid, ...pair, 'peer', 'name', 'eth0', 'netns', `${own}`)
      await at(pid, 'ip', 'link', 'set', link, 'master', 'br0', 'up')
      await at(own, 'ip', 'addr', 'add', `10.213.0.${11 + index}/24`, 'dev', 'eth0')
      await at(own, 'ip', 'link', 'set', 'eth0', 'up')
      const host = new Host(link, pid, own, link)
      t.teardown(() => host.kill())
      hosts.push(host)
    }
    return new Rack(pid, hosts)
  }

  /** Words that start a command at the bridge. */
  at(words: readonly string[]): string[] {
    return inside(this.#pid, words)
  }
}
