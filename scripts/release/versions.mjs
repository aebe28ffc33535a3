// The two files that say which version this is, as text: `npm version` would lay package.json out anew. The crates, which
// are not published, stay at 0.0.0.

export const files = ['package.json', 'package-lock.json']

const PLACE = /("name": "vmexit",\n *"version": ")([^"]*)/g

export const isVersion = (text) => /^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$/.test(text ?? '')

/** The versions that a file's text says, each once. */
export const versionsIn = (text) => [
  ...new Set([...text.matchAll(PLACE)].map(([, , found]) => found)),
]

/** The text with another version. */
export const withVersion = (text, version) => text.replace(PLACE, `$1${version}`)
