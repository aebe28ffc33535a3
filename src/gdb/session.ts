import { raise } from '../native/errors.ts'
import { toHex } from './wire/bytes.ts'
import type { Channel } from './wire/channel.ts'
import { Commands } from './commands.ts'
import type { Report } from './going/ends.ts'
import { Execution } from './going/execution.ts'
import { Points } from './going/points.ts'
import type { Served } from './served.ts'
import { type Bits, architectures, bitsOf } from './registers/layout.ts'

/** How many characters of text go into one packet. */
const LINE_BYTES = 4096

/** One client, from its first packet until it goes. */
export class Session {
  readonly #served: Served
  readonly #channel: Channel
  readonly #points: Points
  readonly #commands: Commands
  readonly #bits: Bits
  /** The width of which the client was last told. */
  #told: Bits

  /** Of a machine that is idle or paused. */
  private constructor(served: Served, channel: Channel, execution: Execution) {
    const { vm } = served
    this.#served = served
    this.#channel = channel
    this.#bits = bitsOf(vm.specialRegisters())
    this.#told = this.#bits
    this.#points = new Points(vm, (...hit) => execution.hit(...hit))
    const points = this.#points
    this.#commands = new Commands({ ...served, channel, execution, points, bits: this.#bits })
  }

  /** Serves a client until it goes. Its first packet halts the machine. */
  static async serve(served: Served, channel: Channel): Promise<void> {
    const onlooker = {
      begin: () => served.begin(),
      tell: (report: Report) => session?.tell(report),
      say: (text: string) => session?.say(text),
    }
    const execution = new Execution(served.vm, onlooker)
    let session: Session | undefined
    try {
      for await (const unit of channel.units()) {
        if (served.vm.closed) break
        if (!session) {
          await execution.halt()
          session = new Session(served, channel, execution)
        }
        if (unit.kind === 'interrupt') session.#commands.interrupt()
        else await session.#answer(unit.body)
        if (session.#commands.isOver) break
      }
    } catch (error) {
      if (!served.vm.closed) raise(error)
    } finally {
      channel.end()
      await execution.release(() => session?.clear())
      if (session?.isDetached) served.detached()
    }
  }

  /** Takes all breakpoints and watchpoints away. */
  clear(): void {
    this.#points.clear()
  }

  /** Whether the client wants the guest to go on without it. */
  get isDetached(): boolean {
    return this.#commands.isDetached
  }

  async #answer(body: Buffer): Promise<void> {
    const answer = await this.#commands.answer(body)
    if (answer !== undefined) this.#channel.send(answer)
  }

  /** The machine stands still. */
  tell(report: Report): void {
    if (report.kind === 'stopped') this.#sayMode(report.vcpu)
    this.#channel.send(this.#commands.stopped(report))
    if (report.kind === 'gone') this.#channel.end()
  }

  /** A line for people, which a client takes only before it hears that the machine stands still. */
  say(text: string): void {
    const bytes = Buffer.from(`vmexit: ${text}\n`)
    for (let at = 0; at < bytes.length; at += LINE_BYTES) {
      this.#channel.send(`O${toHex(bytes.subarray(at, at + LINE_BYTES))}`)
    }
  }

  /** A client keeps the layout of registers with which it began. */
  #sayMode(vcpu: number): void {
    const bits = bitsOf(this.#served.vm.vcpus[vcpu]!.specialRegisters())
    if (bits === this.#told) return
    this.#told = bits
    const way = 'to see it as it is, `disconnect` and connect again'
    const text = `vCPU ${vcpu} runs ${bits}-bit code now, and this connection is ${architectures[this.#bits]}`
    this.say(bits === this.#bits ? `vCPU ${vcpu} runs ${bits}-bit code again` : `${text}; ${way}`)
  }
}
