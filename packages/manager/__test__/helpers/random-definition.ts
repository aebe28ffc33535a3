import type { MachineDefinition } from 'vmexit'

/** A stream of numbers below 1 that a seed determines (mulberry32). */
export function randomOf(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d_2b_79_f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

const names = ['/srv/a.img', '/dev/sdb', '/dev/shm/b.img', '/tmp/<&>\'"]]>.img', '/tmp/ü \u{1f600}']
const odd = ['/tmp/a\u0001b', '/tmp/line\nfeed', ' /tmp/blank ', '/tmp/\uffff']
const texts = ['console=ttyS0 quiet', '', 'a="b" <c>', ' two  blanks ', 'null', '\u{1f600}', '\t']

/** A definition of what there may be, made by chance. */
export function randomDefinition(random: () => number): MachineDefinition {
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!
  const maybe = <T extends object>(make: () => T): Partial<T> => (random() < 0.4 ? make() : {})
  const some = <T>(most: number, make: () => T): T[] =>
    Array.from({ length: Math.floor(random() * (most + 1)) }, make)
  const file = (): string => pick(random() < 0.1 ? odd : names)
  const flag = (): boolean => random() < 0.5
  const image = {
    file: file(),
    ...maybe(() => ({ format: pick(['flat', 'elf', 'bzimage', 'firmware', 'pvh'] as const) })),
    ...maybe(() => ({ cmdline: pick(texts) })),
    ...maybe(() => ({ initrd: file() })),
    ...maybe(() => ({ entryGpa: pick([0, '0x1000', 4096]) })),
    ...maybe(() => ({ modules: some(2, () => ({ file: file(), string: pick(texts) })) })),
  }
  return {
    payload: flag() ? { guest: pick(['hello', 'input']) } : image,
    ...maybe(() => ({ name: 'chance' })),
    ...maybe(() => ({ version: 1 as const })),
    ...maybe(() => ({ mode: pick(['real', 'protected', 'paged32', 'long'] as const) })),
    ...maybe(() => ({ memoryBytes: pick([4096, '0x200000', 2 ** 31, 2 ** 40, '16777216']) })),
    ...maybe(() => ({ vcpus: pick([1, 2, 64]) })),
    ...maybe(() => ({ pc: flag() })),
    ...maybe(() => ({ serial: flag() })),
    ...maybe(() => ({ irqchip: flag() })),
    ...maybe(() => ({ screen: pick(['text' as const, { width: 640, height: 480 }]) })),
    ...maybe(() => ({ slots: some(2, () => ({ gpa: '0x100000000', bytes: 4096 })) })),
    ...maybe(() => ({
      routes: some(2, () => ({
        port: pick(['0xe9', 233]),
        to: pick(['console', 'stop'] as const),
      })),
    })),
    ...maybe(() => ({
      disks: some(6, () => ({
        file: file(),
        ...maybe(() => ({ readOnly: flag() })),
        ...maybe(() => ({ volatile: flag() })),
      })),
    })),
    ...maybe(() => ({
      network: some(2, () => ({
        passt: true as const,
        ...maybe(() => ({ mac: pick(['52:54:00:AB:cd:01', '02:00:00:00:00:01']) })),
      })),
    })),
    ...maybe(() => ({ ports: pick([[], ['agent'], ['agent', 'b.1']]) })),
    ...maybe(() => ({ module: '/srv/modules/devices.mjs' })),
    ...maybe(() => ({
      manager: {
        ...maybe(() => ({ autostart: flag() })),
        ...maybe(() => ({ restart: pick(['no', 'on-failure', 'always']) })),
        ...maybe(() => ({ group: 'small' })),
        ...maybe(() => ({ limits: { openFiles: 100 } })),
        ...maybe(() => ({
          vnc: {
            password: pick(['secret', 'a<b>', '\u0001x']),
            ...maybe(() => ({ port: pick([0, 5901]) })),
          },
        })),
      },
    })),
  }
}
