// A case that cannot run here says why.
import { kvmProblem } from '../../setup/tools.mjs'

export class Skip extends Error {}

/** For cases that run a machine; with VMEXIT_REQUIRE_KVM=1, set-up has failed before. */
export function needsKvm() {
  const problem = kvmProblem()
  if (problem !== undefined) throw new Skip(problem)
}
