import { showThrown } from '../native/errors.ts'
import type { VirtualMachine } from '../machine/virtual-machine.ts'
import type { Snapshot } from '../machine/snapshot/snapshot.ts'
import type { RunResult } from '../results/result.ts'

/** The state that `monitor snapshot` keeps, for all clients of a server. */
export class Kept implements Disposable {
  #snapshot: Snapshot | undefined

  get snapshot(): Snapshot | undefined {
    return this.#snapshot
  }

  /** Keeps this one in place of the last. */
  keep(snapshot: Snapshot): void {
    this[Symbol.dispose]()
    this.#snapshot = snapshot
  }

  [Symbol.dispose](): void {
    this.#snapshot?.close()
    this.#snapshot = undefined
  }
}

/** What a command may look at. The machine is idle or paused. */
interface Scene {
  readonly vm: VirtualMachine
  readonly kept: Kept
  /** How the last run ended, if it did. */
  readonly last: RunResult | undefined
}

interface Command {
  readonly about: string
  run(scene: Scene): string
}

const commands: Record<string, Command> = {
  snapshot: {
    about: 'keep the state of the machine, in place of the one kept before',
    run({ vm, kept }) {
      kept.keep(vm.snapshot())
      return 'kept'
    },
  },
  restore: {
    about: 'make the machine what it was at `monitor snapshot`',
    run({ vm, kept }) {
      if (!kept.snapshot) return 'there is no snapshot; take one with `monitor snapshot`'
      vm.restore(kept.snapshot)
      return 'restored; `maintenance flush register-cache` shows its registers'
    },
  },
  exits: { about: 'count the exits since the machine was made', run: exits },
  explain: {
    about: 'say why the last run ended as it did',
    run({ last }) {
      return last ? String(last.explain()) : 'the run has not ended'
    },
  },
}

const names = ['help', ...Object.keys(commands)]

/** What `monitor TEXT` prints. */
export function monitor(text: string, scene: Scene): string {
  const [name = 'help', ...rest] = text.trim().split(/\s+/).filter(Boolean)
  if (name === 'help') return help()
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined
  if (!command || rest.length > 0) return `there are ${names.join(', ')}\n`
  try {
    return `${command.run(scene)}\n`
  } catch (error) {
    return `${showThrown(error)}\n`
  }
}

function help(): string {
  const rows = Object.entries(commands).map(([name, { about }]) => `${name.padEnd(10)}${about}`)
  return `${rows.join('\n')}\n`
}

function exits({ vm }: Scene): string {
  const { exits: reasons, routes } = vm.counters()
  const counts = Object.entries(reasons).filter(([, count]) => count > 0)
  const rows = [
    ...counts.map(([reason, count]) => `${reason} ${count}`),
    ...routes.map(({ reads, writes }, index) => `route ${index}: ${reads} reads, ${writes} writes`),
  ]
  return rows.length === 0 ? 'there were none' : rows.join('\n')
}
