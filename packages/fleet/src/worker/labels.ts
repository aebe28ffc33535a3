import { readdir } from 'node:fs/promises'

import { hostFacts } from '../child/facts.ts'
import type { Labels } from '../engines/queue/hosts.ts'

/** How many modules a worker tells of. */
const MOST_MODULES = 1_000

/** What `vmexit doctor` says of this host, and the job modules of a folder. */
export async function labelsOf(modules: string | undefined): Promise<Labels> {
  const { isUsable, backend, modes, exitCostNs } = await hostFacts()
  const usable = isUsable ? backend : 'none'
  return { backend: usable, modes, exitCostNs, modules: await installed(modules) }
}

/** Names of the modules in a folder; rejects when it cannot be read. */
async function installed(folder: string | undefined): Promise<string[]> {
  if (folder === undefined) return []
  const names = (await readdir(folder)).flatMap((file) => {
    const [, name] = /^([a-z0-9-]{1,100})\.(?:js|mjs|ts)$/.exec(file) ?? []
    return name ?? []
  })
  return [...new Set(names)].toSorted().slice(0, MOST_MODULES)
}
