/** The platforms that there is a binary for. */
const PLATFORMS = ['linux-x64-gnu', 'linux-x64-musl']

/** Why the binding did not load, of what the runtime threw, and what to do. */
export function remedy(here: string, cause: unknown): string {
  if (!PLATFORMS.includes(here)) {
    return `it runs on ${PLATFORMS.join(' and ')}, that is Linux on x86-64. The types work everywhere.`
  }
  const { code, name, message = String(cause) } = (cause ?? {}) as NodeJS.ErrnoException
  switch (code ?? name) {
    case 'ERR_DLOPEN_DISABLED':
      return isRestricted()
        ? '`--permission` forbids native addons: add --allow-addons.'
        : '`--no-addons` forbids native addons: start without it.'
    case 'ERR_ACCESS_DENIED':
      return `\`--permission\` forbids to read its files (${message}): add --allow-fs-read for node_modules, and --allow-addons.`
    case 'NotCapable':
      return `Deno asks for a right (${message}): run with --allow-read --allow-ffi.`
    case 'MODULE_NOT_FOUND':
      return (
        `the package vmexit-${here} is missing. Reinstall without --omit=optional; ` +
        'in a bundle, mark vmexit as external; in a checkout, run `npm start` to build it.'
      )
    case 'ERR_BUNDLED':
      return `the package vmexit-${here} is not what loads (${message}): mark vmexit as external.`
    case 'ERR_DLOPEN_FAILED':
      return `the package vmexit-${here} does not load: ${message}`
    default:
      return `the package vmexit-${here} does not load: ${message}; in a bundle, mark vmexit as external.`
  }
}

/** Whether Node.js runs under its permission model, which the types of Node.js 20 do not know. */
const isRestricted = (): boolean => 'permission' in process && process.permission !== undefined

/** What runs this, and its version. */
export function runtime(): string {
  const { bun, deno } = process.versions
  if (bun) return `Bun ${bun}`
  return deno ? `Deno ${deno}` : `Node.js ${process.version}`
}
