// Which glibc a binary asks for.
import { must } from '../run.mjs'

/** The versions of glibc that the symbols of an ELF file ask for, oldest first. */
export function glibcVersions(file) {
  const found = must(['objdump', '-T', file]).matchAll(/\bGLIBC_(\d+(?:\.\d+)+)/g)
  const versions = new Set([...found].map(([, version]) => version))
  return [...versions].toSorted((a, b) => a.localeCompare(b, 'en', { numeric: true }))
}
