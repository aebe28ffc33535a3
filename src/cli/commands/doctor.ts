import { isFailure } from '../../native/errors.ts'
import { paint } from '../../bench/paint.ts'
import { native } from '../../native/native.ts'
import type { Failure, NativeDebugMeans, NativeMeans, NativeReport } from '../../native/seam.ts'
import { type Run, UsageError, exitCodes, packageVersion, printJson } from '../command.ts'

/** What `doctor --json` says. */
interface Report {
  ok: boolean
  /** Why not, when it is not ok. */
  reason?: string
  kvm: {
    path: string
    apiVersion: number | null
    backend: string
    /** Whether `coalesce` loses nothing of several vCPUs; `null` without such a ring. */
    sharesCoalescedRing: boolean | null
  }
  modes: { mode: string; privilege: string; supported: boolean; reason?: string }[]
  capabilities: Record<string, number>
  exitCostNs: number | null
  /** What steps, breaks and watches, by where the guest is; `null` when that cannot be asked. */
  debug: NativeDebugMeans | null
  node: string
  package: string
  hints: string[]
}

/** `vmexit doctor`. */
export const runDoctor: Run = async (values, positionals) => {
  if (positionals.length > 0) UsageError.raise(`doctor takes no argument, got '${positionals[0]}'`)
  const report = diagnose(native.probeHost(), native.debugMeans())
  if (values['json']) printJson(report)
  else process.stdout.write(describe(report))
  return report.ok ? exitCodes.fine : exitCodes.hostFailure
}

function diagnose(probed: NativeReport | Failure, means: NativeDebugMeans | Failure): Report {
  const failure = isFailure(probed) ? probed : undefined
  const found = isFailure(probed) ? undefined : probed
  const backend = native.hostBackend()
  const modes = (found?.modes ?? []).map(({ mode, privilege, reason }) => ({
    mode,
    privilege,
    supported: reason === undefined,
    ...(reason === undefined ? {} : { reason }),
  }))
  const usable = (mode: string): boolean =>
    modes.some((entry) => entry.mode === mode && entry.supported)
  const ok = usable('real') && usable('protected') && usable('long')
  const reason =
    failure?.message ?? (ok ? undefined : 'a CPU mode that every KVM should run does not')
  return {
    ok,
    ...(reason === undefined ? {} : { reason }),
    kvm: {
      path: '/dev/kvm',
      apiVersion: found?.apiVersion ?? null,
      backend,
      sharesCoalescedRing: found?.sharesCoalescedRing ?? null,
    },
    modes,
    capabilities: Object.fromEntries(
      (found?.capabilities ?? []).map(({ name, value }) => [name, value]),
    ),
    exitCostNs: found?.exitCostNs ?? null,
    debug: isFailure(means) ? null : means,
    node: process.version,
    package: packageVersion(),
    hints: [...hints(failure, backend, found ? usable('paged32') : true), ...ringHints(found)],
  }
}

function hints(failure: Failure | undefined, backend: string, paged32: boolean): string[] {
  const list: string[] = []
  // The message is "what happened; what to do".
  if (failure) list.push(failure.message.split('; ').slice(1).join('; ') || failure.message)
  if (failure && backend === 'unknown') list.push('no KVM module shows in /sys/module')
  if (!paged32)
    list.push(`32-bit paging does not run on ${backend}; the other modes are not affected`)
  return list
}

function ringHints(found: NativeReport | undefined): string[] {
  if (found?.sharesCoalescedRing !== false) return []
  return [
    'this kernel loses coalesced writes of several vCPUs (fixed in 2024), so their coalesce routes make an exit per write',
  ]
}

function describe(report: Report): string {
  const { kvm, modes, exitCostNs, debug } = report
  const verdict = report.ok
    ? paint('green', 'ok')
    : `${paint('red', 'not usable')}: ${report.reason}`
  const lines = [
    `${kvm.path}  ${verdict}`,
    `backend   ${kvm.backend}${kvm.apiVersion === null ? '' : `, API version ${kvm.apiVersion}`}`,
    ...modes.map(({ mode, privilege, supported, reason }) => {
      const runs = supported
        ? paint('green', 'runs')
        : `${paint('yellow', 'does not run')}: ${reason}`
      return `  ${mode.padEnd(9)} ${privilege.padEnd(6)}  ${runs}`
    }),
    ...(exitCostNs === null
      ? []
      : [`exit      ${(exitCostNs / 1000).toFixed(1)} µs for a port write and back`]),
    ...(debug === null ? [] : ['debug     works, by where the guest is', ...debugLines(debug)]),
    `versions  vmexit ${report.package}, Node.js ${report.node}`,
    ...Object.entries(report.capabilities).map(([name, value]) =>
      paint('dim', `  ${name} ${value}`),
    ),
    ...report.hints.map((hint) => `hint      ${hint}`),
  ]
  return `${lines.join('\n')}\n`
}

function debugLines(debug: NativeDebugMeans): string[] {
  const { real, protected: flat, long, user } = debug
  return Object.entries({ real, protected: flat, long, user }).map(([place, means]) => {
    const works = workingMeans(means).join(', ')
    return `  ${place.padEnd(9)} ${works === '' ? paint('yellow', 'nothing') : works}`
  })
}

/** By the names of `doctor --json`; how an `int3` stops is added. */
function workingMeans(means: NativeMeans): string[] {
  return Object.entries(means).flatMap(([name, works]) => {
    if (typeof works === 'string') return [`${name} (${works})`]
    return works === true ? [name] : []
  })
}
