// The platforms that a binary can be built for, as package.json's napi.targets names them.
import { join } from 'node:path'
import { root } from '../run.mjs'

/** Everything that packing makes and downloads. */
export const cache = join(root, '.cache', 'package')

/** The binaries that a release is made of. */
export const artifacts = join(cache, 'artifacts')

/** `floor` is the newest glibc version that the binary may ask for, `libc` how npm calls its C library. */
export const targets = [
  {
    triple: 'x86_64-unknown-linux-gnu',
    platform: 'linux-x64-gnu',
    libc: 'glibc',
    needs: 'Linux on x86-64 with glibc 2.17 or newer',
    floor: '2.17',
  },
  {
    triple: 'x86_64-unknown-linux-musl',
    platform: 'linux-x64-musl',
    libc: 'musl',
    needs: 'Linux on x86-64 with musl, as Alpine Linux',
  },
]

export const [glibc, musl] = targets

export const binaryName = ({ platform }) => `vmexit.${platform}.node`
export const packageName = ({ platform }) => `vmexit-${platform}`
