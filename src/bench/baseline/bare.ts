import { take } from '../../native/errors.ts'
import { native } from '../../native/native.ts'
import { checkMachineOptions } from '../../options/options.ts'
import type { NativeMachine } from '../../native/seam.ts'
import type { Baseline } from './baseline.ts'
import type { Kind } from '../document.ts'
import { countCell, countImage, mmioImage } from '../images.ts'

/** Ends a loop that hangs; the slowest KVM needs seconds. */
const timeoutMs = 120_000

/**
 * Where no raw C loop can be built: `KVM_RUN` again and again inside the addon, nothing routed or
 * answered.
 */
export class BareLoop implements Baseline {
  readonly name = 'vmexit-bare'
  readonly about =
    'no C compiler here: the bare KVM_RUN loop inside the addon; only port and MMIO exits are compared'

  async total(kind: Kind, count: number): Promise<number | undefined> {
    if (kind !== 'pio' && kind !== 'mmio') return undefined
    const machine = bareMachine(kind === 'pio' ? countImage : mmioImage)
    try {
      const cell = new Uint8Array(4)
      new DataView(cell.buffer).setUint32(0, count, true)
      take(machine.writeMemory(countCell, cell))
      return take(machine.runBare(timeoutMs))
    } finally {
      machine.close()
    }
  }

  /** The loop sees no single exit. */
  async each(): Promise<readonly number[]> {
    return []
  }

  async close(): Promise<void> {}
}

function bareMachine(image: Uint8Array): NativeMachine {
  const { config } = checkMachineOptions({ mode: 'long', payload: { image } })
  return take(native.NativeMachine.create(config))
}
