// What this process holds of the kernel, and whether it is given back.
import { readFileSync, readdirSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

// The kernel ends a VM on a thread of ours, and takes long while another process ends a thousand.
const WAIT_MS = Number(process.env.VMEXIT_LEAK_MS ?? 120_000)

const count = (folder) => readdirSync(folder).length

/** Open descriptors and threads. */
export const census = () => ({ files: count('/proc/self/fd'), threads: count('/proc/self/task') })

const isWithin = (now, before) =>
  now.files <= before.files && now.threads <= before.threads && kvmMappings() === 0

/** Waits until there is no machine and no more than `before`; what is there too much, in words, or undefined. */
export async function overrun(before, between = () => undefined) {
  const end = performance.now() + WAIT_MS
  while (!isWithin(census(), before)) {
    if (performance.now() > end) {
      const { files, threads } = census()
      const maps = kvmMappings()
      return `${files} descriptors, ${before.files} before; ${threads} threads, ${before.threads} before; ${maps} mappings of kvm_run`
    }
    between()
    await sleep(5)
  }
  return undefined
}

/** Resident memory, in MiB. */
export function residentMiB() {
  const status = readFileSync('/proc/self/status', 'utf8')
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)[1]) / 1024
}

/** Mappings of `kvm_run`. */
export function kvmMappings() {
  return readFileSync('/proc/self/maps', 'utf8').match(/kvm-vcpu/g)?.length ?? 0
}
