// A network switch between three machines: it learns who is behind which cable.
//
//   node --import @oxc-node/core/register examples/network-switch.ts
//
// prints: 02:00:00:00:00:01 → 02:00:00:00:00:02 to everybody
//         02:00:00:00:00:02 → 02:00:00:00:00:01 to cable 0
//         the first machine has its answer
import { Duplex } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'

import { answeringMachine, isReady } from './network-switch/guest.ts'

/** Joins cables: each is the free end of a machine's network card. */
class Switch {
  readonly #cables: Duplex[] = []
  /** Addresses, by who has sent from them. */
  readonly #known = new Map<string, Duplex>()

  plug(cable: Duplex): void {
    this.#cables.push(cable)
    cable.on('data', (frame: Buffer) => this.#forward(frame, cable))
  }

  #forward(frame: Buffer, from: Duplex): void {
    const [to, source] = [address(frame, 0), address(frame, 6)]
    this.#known.set(source, from)
    const known = this.#known.get(to)
    const place = known ? `cable ${this.#cables.indexOf(known)}` : 'everybody'
    console.log(`${source} → ${to} to ${place}`)
    for (const cable of known ? [known] : this.#cables) {
      // As a real one does: what finds no room is lost, and slows nobody down.
      if (cable !== from && !cable.writableNeedDrain) cable.write(frame)
    }
  }
}

function address(frame: Buffer, at: number): string {
  return [...frame.subarray(at, at + 6)].map((byte) => byte.toString(16).padStart(2, '0')).join(':')
}

const cables = [1, 2, 3].map(() => new Duplex({ objectMode: true }))
// The first machine sends a frame to the second one, and ends with the answer.
const [first, ...others] = cables.map((frames, index) =>
  answeringMachine(index + 1, frames, index === 0 ? 2 : undefined),
)
const middle = new Switch()
for (const cable of cables) middle.plug(cable)

const running = others.map((vm) => vm.run({ timeoutMs: 10_000 }))
while (!others.every(isReady)) await sleep(1)
const { reason } = await first!.run({ timeoutMs: 10_000 })
console.log(`the first machine has ${reason === 'exit-port' ? 'its' : 'no'} answer`)
for (const vm of others) vm.stop()
await Promise.all(running)
for (const vm of [first!, ...others]) vm.close()
