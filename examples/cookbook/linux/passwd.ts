// Run a program with a fake /etc/passwd
//
// needs: /bin/busybox
// prints: it is ada
//         and sees of /etc: passwd
import { execute, hostFile } from 'vmexit/process'

const files = {
  '/bin/busybox': hostFile('/bin/busybox', { readOnly: true }),
  '/etc/passwd': 'ada:x:1000:1000:Ada:/home/ada:/bin/sh\n',
}
const who = await execute('/bin/busybox', ['id', '-un'], { files })
console.log(`it is ${who.stdout.trim()}`)
const list = await execute('/bin/busybox', ['ls', '/etc'], { files })
console.log(`and sees of /etc: ${list.stdout.trim()}`)
