// Give a program a fixed clock and seed
//
// needs: /bin/busybox
// prints: Thu Jan  1 12:00:00 UTC 2026, …
//         the same again: true
import { execute, hostFile } from 'vmexit/process'

const options = {
  files: { '/bin/busybox': hostFile('/bin/busybox', { readOnly: true }) },
  clock: { fixed: new Date('2026-01-01T12:00:00Z') },
  random: 42, // a seed
}
async function once(): Promise<string> {
  const date = await execute('/bin/busybox', ['date'], options)
  const chance = await execute(
    '/bin/busybox',
    ['od', '-An', '-tx1', '-N4', '/dev/urandom'],
    options,
  )
  return `${date.stdout.trim()}, ${chance.stdout.trim()}`
}
const first = await once()
console.log(first)
console.log(`the same again: ${(await once()) === first}`)
