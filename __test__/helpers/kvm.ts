// What this machine's KVM can run, and the tests that need it.
import { closeSync, openSync } from 'node:fs'

import test, { type ExecutionContext } from 'ava'
import type {
  CpuMode,
  Privilege,
  RunOptions,
  RunResult,
  RunSyncOptions,
  VirtualMachine,
} from '../../src/index.ts'
import { native } from '../../src/native/native.ts'
import type { NativeReport } from '../../src/native/seam.ts'

/** Runs a machine to the end of one run, by `runSync()` or by `run()`. */
export type Run = (vm: VirtualMachine, options?: RunOptions) => Promise<RunResult>

/** Ends a run that would otherwise hang; no test waits for it. */
const timeoutMs = 300_000

/** Both ways to run, which must not differ in what the guest and the handlers see. */
export const runKinds: Readonly<Record<'runSync' | 'run', Run>> = {
  // A handler that returns a promise gets its error here.
  runSync: async (vm, options) => vm.runSync({ timeoutMs, ...options } as RunSyncOptions),
  run: (vm, options) => vm.run({ timeoutMs, ...options }),
}

const absent = process.env['VMEXIT_REQUIRE_KVM'] === '1' ? undefined : missingKvm()

function missingKvm(): string | undefined {
  try {
    // Not access(2): that does not see a mount without devices, as containers have them.
    closeSync(openSync('/dev/kvm', 'r+'))
    return undefined
  } catch (error) {
    return (error as Error).message
  }
}

/** A test that needs `/dev/kvm`. */
export function kvmTest(
  title: string,
  body: (t: ExecutionContext) => void | Promise<void>,
  declare: (title: string, body: (t: ExecutionContext) => void | Promise<void>) => void = test,
): void {
  if (absent === undefined) declare(title, body)
  else test.skip(`${title}: ${absent}`, body)
}

/** One test for `runSync()` and one for `run()`. */
export function kvmTestBoth(
  title: string,
  body: (t: ExecutionContext, run: Run) => void | Promise<void>,
): void {
  for (const [kind, run] of Object.entries(runKinds)) {
    kvmTest(`${title} (${kind})`, (t) => body(t, run))
  }
}

let report: ReturnType<typeof native.probeHost> | undefined

/** What `vmexit doctor` asks this KVM, once; undefined where it cannot be asked. */
export function probe(): NativeReport | undefined {
  report ??= native.probeHost()
  return 'modes' in report ? report : undefined
}

/** Whether this KVM runs a mode; else how its first instructions end. */
export function modeRuns(
  mode: CpuMode,
  privilege: Privilege = 'kernel',
): { runs: true } | { runs: false; reason: string } {
  const found = probe()?.modes.find((one) => one.mode === mode && one.privilege === privilege)
  if (!found) return { runs: false, reason: 'the host could not be probed' }
  return found.reason === undefined ? { runs: true } : { runs: false, reason: found.reason }
}

/** Ends a test as skipped where this KVM does not run a mode. */
export function skipsMode(
  t: ExecutionContext,
  mode: CpuMode,
  privilege: Privilege = 'kernel',
): boolean {
  const mark = modeRuns(mode, privilege)
  if (mark.runs) return false
  t.log(`skipped: mode '${mode}' ends with ${mark.reason} on this KVM`)
  t.pass()
  return true
}
