import { BareLoop } from './bare.ts'
import type { Baseline } from './baseline.ts'
import { compileRaw } from './compile.ts'
import { WithChildren } from './children.ts'
import { RawLoop } from './raw.ts'

/** The raw C loop where it can be built, else the bare loop inside the addon, with a warning. */
export async function startBaseline(
  signal: AbortSignal,
  warn: (text: string) => void,
): Promise<Baseline> {
  try {
    const raw = new RawLoop(await compileRaw(), signal)
    return new WithChildren(await raw.ready(), signal)
  } catch (error) {
    signal.throwIfAborted()
    warn(
      `${(error as Error).message}; the baseline is the bare KVM_RUN loop inside vmexit, not raw C`,
    )
    return new WithChildren(new BareLoop(), signal)
  }
}
