// Makes Node.js take itself to be on the platform that PRETEND names: as far as npm and the package can tell, it is.
const fs = require('node:fs')

const [platform, arch, libc] = process.env.PRETEND.split('-')

Object.defineProperty(process, 'platform', { value: platform })
Object.defineProperty(process, 'arch', { value: arch })

if (libc === 'musl') {
  const { readFileSync } = fs
  fs.readFileSync = (path, ...rest) =>
    path === '/usr/bin/ldd' ? 'musl libc' : readFileSync(path, ...rest)
  process.report.getReport = () => ({ header: {}, sharedObjects: ['/lib/ld-musl-x86_64.so.1'] })
}
