import { explainScene } from '../../debug/explain/explain.ts'
import { type Ended, sceneOf } from '../../debug/explain/scene-of.ts'
import { replayScene } from '../../debug/replay.ts'
import { checkKeys, checkObject } from '../../options/check.ts'
import type { Autopsy, ExplainOptions } from '../../results/autopsy.ts'
import { readSpecialRegisters } from '../registers.ts'
import { checkSnapshot, contentOf } from '../snapshot/snapshot.ts'
import { readEvents } from '../vcpu/state.ts'

/** `explain` on an idle machine. */
export function explainEnd(
  end: Omit<Ended, 'special' | 'errorCode' | 'replay'>,
  options: ExplainOptions = {},
): Autopsy {
  const { machine, result } = end
  checkKeys('explain options', checkObject('explain options', options), ['replay'])
  const replay =
    options.replay === undefined
      ? undefined
      : contentOf(checkSnapshot('explain options.replay', options.replay)).native
  const { exit } = result
  const isLost = exit?.reason === 'shutdown' && !exit.registersKept
  const vcpu = result.vcpu ?? 0
  const scene = sceneOf({
    ...end,
    errorCode:
      exit?.reason === 'shutdown' ? readEvents(machine, vcpu).exception.errorCode : undefined,
    special: result.special ?? readSpecialRegisters(machine, vcpu),
    replay: replay && isLost ? replayScene(replay) : undefined,
  })
  return explainScene(scene, String(result))
}
