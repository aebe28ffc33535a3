import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'

import type { Labels } from '../engines/queue/hosts.ts'

/** How long the doctor may take. */
const DOCTOR_MS = 30_000

/** What the doctor says, as far as it matters here. */
interface Diagnosis {
  readonly kvm: { readonly backend: string }
  readonly modes: readonly { readonly mode: string; readonly supported: boolean }[]
  readonly exitCostNs: number | null
}

/** What `vmexit doctor` says of this host; it runs in a process of its own. */
export async function diagnose(modules: readonly string[]): Promise<Labels> {
  const text = await new Promise<string>((resolve) => {
    const words = [command(), 'doctor', '--json']
    // It exits with 1 where KVM does not work, and says so in the same words.
    execFile(process.execPath, words, { timeout: DOCTOR_MS }, (_, stdout) => resolve(stdout))
  })
  return labelsOf(text, modules)
}

/** The labels from the doctor's document; without one, no KVM. */
export function labelsOf(text: string, modules: readonly string[]): Labels {
  try {
    const { kvm, modes, exitCostNs } = JSON.parse(text) as Diagnosis
    const runs = [...new Set(modes.filter((each) => each.supported).map(({ mode }) => mode))]
    return { backend: runs.length > 0 ? kvm.backend : 'none', modes: runs, exitCostNs, modules }
  } catch {
    return { backend: 'none', modes: [], exitCostNs: null, modules }
  }
}

/** The script of the command `vmexit`. */
function command(): string {
  const manifest = createRequire(import.meta.url).resolve('vmexit/package.json')
  const { bin } = JSON.parse(readFileSync(manifest, 'utf8')) as { bin: { vmexit: string } }
  return join(dirname(manifest), bin.vmexit)
}
