import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'

import type { JobNeeds } from '../job/job.ts'

/** What `vmexit doctor` says of this host. */
export interface HostFacts {
  /** Whether machines run here. */
  readonly isUsable: boolean
  /** Why not. */
  readonly reason?: string
  /** The kernel module that is KVM, such as `kvm_intel`. */
  readonly backend: string
  /** The CPU modes that run. */
  readonly modes: readonly string[]
  /** What an exit costs, in nanoseconds. */
  readonly exitCostNs: number | null
}

interface Report {
  readonly ok: boolean
  readonly reason?: string
  readonly kvm: { readonly backend: string }
  readonly modes: readonly {
    readonly mode: string
    readonly privilege: string
    readonly supported: boolean
  }[]
  readonly exitCostNs: number | null
}

const doctorMs = 60_000

let asked: Promise<HostFacts> | undefined

/** Asks once, in a process of its own, as machines are run for it. */
export function hostFacts(): Promise<HostFacts> {
  asked ??= ask()
  return asked
}

async function ask(): Promise<HostFacts> {
  const { doctor } = commandOf()
  const text = await new Promise<string>((resolve) => {
    // A host without KVM ends it with 1, and says why.
    execFile(process.execPath, doctor, { timeout: doctorMs }, (_, stdout) => resolve(stdout))
  })
  try {
    const { ok, reason, kvm, modes, exitCostNs } = JSON.parse(text) as Report
    const running = modes.filter(({ privilege, supported }) => supported && privilege === 'kernel')
    return {
      isUsable: ok,
      ...(reason !== undefined && { reason }),
      backend: kvm.backend,
      modes: running.map(({ mode }) => mode),
      exitCostNs,
    }
  } catch {
    const reason = 'vmexit doctor says nothing'
    return { isUsable: false, reason, backend: 'unknown', modes: [], exitCostNs: null }
  }
}

/** The words of `vmexit doctor --json`, by the package that is beside this one. */
function commandOf(): { doctor: string[] } {
  const manifest = createRequire(import.meta.url).resolve('vmexit/package.json')
  const { bin } = JSON.parse(readFileSync(manifest, 'utf8')) as { bin: { vmexit: string } }
  return { doctor: [join(dirname(manifest), bin.vmexit), 'doctor', '--json'] }
}

/** What a host with these facts lacks of what a job needs. */
export function lackOf(needs: JobNeeds, facts: HostFacts): string | undefined {
  const { backend, modes = [] } = needs
  if (backend !== undefined && backend !== facts.backend)
    return `the job needs ${backend}, here is ${facts.backend}`
  const missing = modes.filter((mode) => !facts.modes.includes(mode))
  return missing.length === 0
    ? undefined
    : `the job needs mode ${missing.join(', ')}, which ${facts.backend} does not run here`
}
