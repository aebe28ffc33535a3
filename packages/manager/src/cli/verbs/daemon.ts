import { type Daemon, startDaemon } from '../../daemon/index.ts'
import { handedOver } from '../handed-over.ts'
import { print, printJson, tell } from '../output.ts'
import { tokenIn } from '../token.ts'
import { type Run, UsageError, type Values, exitCodes, numberOf, textOf } from '../verb.ts'

/** `vmexit daemon`. */
export const runDaemon: Run = async ({ values }) => {
  const listen = listenerOf(values)
  const places = ['state', 'runtime', 'modules'].flatMap((name) => {
    const path = textOf(values, name)
    return path === undefined ? [] : [[name, path]]
  })
  const fds = handedOver()
  const daemon = await startDaemon({
    ...Object.fromEntries(places),
    ...listen,
    ...(fds && { fds }),
    log: tell,
  })
  const asked = askedToEnd()
  announce(daemon, values['json'] === true)
  await asked
  await daemon.close()
  return exitCodes.fine
}

function listenerOf(values: Values): { port: number; token: string } | undefined {
  const port = numberOf(values, 'listen', 65_535)
  const file = textOf(values, 'token-file')
  if (port === undefined && file === undefined) return undefined
  if (port === undefined || file === undefined)
    throw new UsageError('--listen PORT and --token-file FILE go together')
  return { port, token: tokenIn(file) }
}

/** Resolves at the first signal; the next one ends this process at once. */
function askedToEnd(): Promise<void> {
  return new Promise((resolve) => {
    const end = (signal: NodeJS.Signals): void => {
      for (const each of ['SIGINT', 'SIGTERM'] as const) process.off(each, end)
      tell(`${signal}: the machines run on`)
      resolve()
    }
    process.on('SIGINT', end)
    process.on('SIGTERM', end)
  })
}

function announce({ api, libvirt, url }: Daemon, json: boolean): void {
  const { pid } = process
  if (json) return printJson({ pid, api, libvirt, ...(url !== undefined && { url }) })
  print(`api      ${api}`)
  print(`libvirt  ${libvirt}`)
  if (url !== undefined) print(`http     ${url}`)
  print(`ready    virsh -c 'vmexit:///system?socket=${libvirt}' list --all`)
}
