// Prints what this process has open before and after importing a module, and how much of the processors' time the import took:
// by the clock it takes as long as other work on the host lets it.
import { readFileSync, readdirSync, readlinkSync } from 'node:fs'

function linkOf(name) {
  try {
    return [readlinkSync(`/proc/self/fd/${name}`)]
  } catch {
    // The folder itself, open while it was read.
    return []
  }
}

function look() {
  const status = readFileSync('/proc/self/status', 'utf8')
  return {
    files: readdirSync('/proc/self/fd').flatMap(linkOf).toSorted(),
    threads: readdirSync('/proc/self/task').length,
    signals: status.match(/^Sig(Blk|Ign|Cgt):.*$/gm).join(' '),
    resources: process.getActiveResourcesInfo().toSorted(),
  }
}

// The first import starts Node.js's own threads.
await import('./nothing.mjs')
const before = look()
const begun = process.cpuUsage()
await import(process.argv[2])
const { user, system } = process.cpuUsage(begun)
const ms = (user + system) / 1000
console.log(JSON.stringify({ ms, before, after: look() }))
process.exit()
