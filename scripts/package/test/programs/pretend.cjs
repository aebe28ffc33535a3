// Makes Node.js take itself to be on the platform that PRETEND names: as far as npm and the package can tell, it is.
const fs = require('node:fs')

const [platform, arch, libc] = process.env.PRETEND.split('-')

Object.defineProperty(process, 'platform', { value: platform })
Object.defineProperty(process, 'arch', { value: arch })

if (libc === 'musl') {
  const { readFileSync } = fs
  // npm reads the one, the package the other.
  const texts = { '/usr/bin/ldd': 'musl libc', '/proc/self/maps': '/lib/ld-musl-x86_64.so.1\n' }
  fs.readFileSync = (path, ...rest) => texts[path] ?? readFileSync(path, ...rest)
  process.report.getReport = () => ({ header: {}, sharedObjects: ['/lib/ld-musl-x86_64.so.1'] })
}
