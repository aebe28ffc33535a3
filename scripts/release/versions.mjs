// The files that say which version this is, read and written as text: `npm version` lays package.json out anew.

export const isVersion = (text) => /^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$/.test(text ?? '')

/** Where each file has it, as the second of three groups. */
const places = {
  'package.json': /^( {2}"version": ")(.*)(",)$/gm,
  'package-lock.json': /^( *"name": "vmexit",\n *"version": ")(.*)(",)$/gm,
  'Cargo.toml': /^(\[workspace\.package\]\nversion = ")(.*)(")$/gm,
  'Cargo.lock': /^(name = "(?:boot|devices|vmexit-node|vmm)"\nversion = ")(.*)(")$/gm,
}

export const files = Object.keys(places)

/** Those that nothing else writes; the native build brings Cargo.lock in line. */
export const written = files.slice(0, 3)

/** The versions that a file's text says, each once. */
export function versionsIn(file, text) {
  return [...new Set([...text.matchAll(places[file])].map(([, , version]) => version))]
}

/** The text with another version. */
export function withVersion(file, text, version) {
  return text.replace(places[file], (_, before, __, after) => `${before}${version}${after}`)
}
