import { type Daemon, startDaemon } from '../../daemon/index.ts'
import { handedOver } from '../handed-over.ts'
import { print, printJson, tell } from '../output.ts'
import { tokenIn } from '../token.ts'
import { type Run, UsageError, type Values, exitCodes, numberOf, textOf } from '../verb.ts'

const maxPort = 65_535

/** `vmexit daemon`. */
export const runDaemon: Run = async ({ values, words }) => {
  const listen = listenerOf(values)
  const web = webOf(values, words)
  const places = ['state', 'runtime', 'modules'].flatMap((name) => {
    const path = textOf(values, name)
    return path === undefined ? [] : [[name, path]]
  })
  const fds = handedOver()
  const daemon = await startDaemon({
    ...Object.fromEntries(places),
    ...listen,
    ...(web && { web }),
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
  const port = numberOf(values, 'listen', maxPort)
  const file = textOf(values, 'token-file')
  if (port === undefined && file === undefined) return undefined
  if (port === undefined || file === undefined)
    throw new UsageError('--listen PORT and --token-file FILE go together')
  return { port, token: tokenIn(file) }
}

/** `--web` alone, or with the place where. */
function webOf(values: Values, [place]: readonly string[]): { port: number } | undefined {
  const isAsked = values['web'] === true
  if (place === undefined) return isAsked ? { port: 0 } : undefined
  if (!isAsked) throw new UsageError(`daemon takes no words, got '${place}'`)
  const [, digits] = /^(?:(?:127\.0\.0\.1|localhost):)?(\d{1,5})$/.exec(place) ?? []
  const port = Number(digits)
  if (port <= maxPort) return { port }
  throw new UsageError(`--web takes 127.0.0.1:PORT, and no other host, got '${place}'`)
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

function announce({ api, libvirt, url, web }: Daemon, json: boolean): void {
  const { pid } = process
  const more = { ...(url !== undefined && { url }), ...(web !== undefined && { web }) }
  if (json) return printJson({ pid, api, libvirt, ...more })
  print(`api      ${api}`)
  print(`libvirt  ${libvirt}`)
  if (url !== undefined) print(`http     ${url}`)
  if (web !== undefined) print(`web      ${web}`)
  print(`ready    virsh -c 'vmexit:///system?socket=${libvirt}' list --all`)
}
