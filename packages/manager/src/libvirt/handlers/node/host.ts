import { readFileSync } from 'node:fs'
import { cpus, freemem, hostname, totalmem } from 'node:os'

import { capabilitiesXml } from '../../xml/capabilities.ts'

const KIB = 1024

/** Time that the processors of the host have spent, in nanoseconds. */
export interface ProcessorTimes {
  /** In the kernel. */
  readonly kernel: bigint
  /** In programs. */
  readonly user: bigint
  /** Nowhere. */
  readonly idle: bigint
}

/** The host's memory in KiB. */
export interface HostMemory {
  /** All of it. */
  readonly total: bigint
  /** What nobody uses. */
  readonly free: bigint
  /** What block devices are buffered in. */
  readonly buffers: bigint
  /** What files are cached in. */
  readonly cached: bigint
}

/** The times of one processor, or of all. */
export function processorTimes(index?: number): ProcessorTimes | undefined {
  const all = cpus()
  const chosen = index === undefined ? all : all.slice(index, index + 1)
  if (chosen.length === 0) return undefined
  const sum = (pick: (times: (typeof all)[0]['times']) => number): bigint =>
    BigInt(Math.round(chosen.reduce((total, { times }) => total + pick(times), 0))) * 1_000_000n
  return {
    kernel: sum(({ sys, irq }) => sys + irq),
    user: sum(({ user, nice }) => user + nice),
    idle: sum(({ idle }) => idle),
  }
}

/** How much memory the host has. */
export function hostMemory(): HostMemory {
  const lines = new Map(
    Array.from(
      textOf('/proc/meminfo').matchAll(/^(\w+): +(\d+) kB$/gm),
      ([, key = '', kib = '0']) => [key, BigInt(kib)] as const,
    ),
  )
  return {
    total: lines.get('MemTotal') ?? BigInt(Math.floor(totalmem() / KIB)),
    free: lines.get('MemFree') ?? BigInt(Math.floor(freemem() / KIB)),
    buffers: lines.get('Buffers') ?? 0n,
    cached: lines.get('Cached') ?? 0n,
  }
}

/** Logical processors of the host. */
export function processors(): number {
  return Math.max(1, cpus().length)
}

/** Their clock in MHz, as far as it is known. */
export function megahertz(): number {
  return cpus()[0]?.speed ?? 0
}

/** `<capabilities>` of this host. */
export function capabilitiesOf(): string {
  return capabilitiesXml({
    uuid: hostUuid(),
    model: 'x86_64',
    cpus: processors(),
    memoryKib: Math.floor(totalmem() / KIB),
  })
}

/** Of the machine's identity, which systemd makes; without one, of nothing. */
function hostUuid(): string {
  const id = /^[\da-f]{32}/.exec(textOf('/etc/machine-id'))?.[0] ?? '0'.repeat(32)
  return id.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')
}

/** The host's name. */
export function hostName(): string {
  return hostname()
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

/** A bit for each processor of the host. */
export function processorMap(bytes: number): Uint8Array {
  const map = new Uint8Array(bytes)
  const count = Math.min(processors(), bytes * 8)
  for (let index = 0; index < count; index++) map[index >> 3]! |= 1 << (index & 7)
  return map
}
