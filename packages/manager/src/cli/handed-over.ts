/** The first descriptor that systemd hands over: sd_listen_fds(3). */
const first = 3

/**
 * The sockets that systemd hands over, by the names that their units give them, or in this order.
 * What says so is forgotten: processes that this one starts do not have them.
 */
export function handedOver(
  env: NodeJS.ProcessEnv = process.env,
): { api?: number; libvirt?: number } | undefined {
  const { LISTEN_PID: pid, LISTEN_FDS: count, LISTEN_FDNAMES: names } = env
  for (const name of ['LISTEN_PID', 'LISTEN_FDS', 'LISTEN_FDNAMES']) delete env[name]
  if (Number(pid) !== process.pid) return undefined
  const known = (names ?? '').split(':')
  const isNamed = known.includes('api') || known.includes('libvirt')
  const order = isNamed ? known : ['api', 'libvirt']
  const at = (name: string): number | undefined => {
    const index = order.indexOf(name)
    return index < 0 || index >= Number(count) ? undefined : first + index
  }
  const [api, libvirt] = [at('api'), at('libvirt')]
  if (api === undefined && libvirt === undefined) return undefined
  return { ...(api !== undefined && { api }), ...(libvirt !== undefined && { libvirt }) }
}
