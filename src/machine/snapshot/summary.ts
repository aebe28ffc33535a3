import type { NativeDescription, NativeDisk, NativeRoute } from '../../native/seam.ts'

/** What a machine is made of, for a reader: sizes, and who answers what. */
export interface Summary {
  readonly memory: string
  readonly vcpus: number
  readonly devices: readonly string[]
  readonly screen?: string
  readonly routes: readonly string[]
  /** Only of a machine that has some. */
  readonly disks?: readonly string[]
}

/** Of the options that made it. */
export function summarize(config: NativeDescription): Summary {
  const slots = config.slots.map(
    ({ gpa, bytes, readOnly }) => `${size(bytes)} at ${hex(gpa)}${readOnly ? ' (read-only)' : ''}`,
  )
  return {
    memory: [size(config.memoryBytes), ...slots].join(', '),
    vcpus: config.vcpus,
    devices: (['irqchip', 'serial', 'pc'] as const).filter((name) => config[name]),
    ...(config.screen && { screen: describeScreen(config.screen) }),
    routes: config.routes.map(describeRoute),
    ...(config.disks.length > 0 && { disks: config.disks.map(describeDisk) }),
  }
}

function describeDisk({ file, bytes, readOnly, volatile }: NativeDisk): string {
  const kinds = [...(readOnly ? ['read-only'] : []), ...(volatile ? ['volatile'] : [])]
  const what = file ?? `device of ${size(bytes ?? 0)}`
  return kinds.length > 0 ? `${what} (${kinds.join(', ')})` : what
}

function describeRoute({ port, gpa, length, to }: NativeRoute): string {
  const [kind, first] = port === undefined ? ['gpa', gpa ?? 0] : ['port', port]
  const last = length > 1 ? `..${hex(first + length - 1)}` : ''
  return `${kind} ${hex(first)}${last}: ${to}`
}

function describeScreen(screen: NonNullable<NativeDescription['screen']>): string {
  return screen === 'text' ? screen : `${screen.width} x ${screen.height}`
}

function size(bytes: number): string {
  const units = ['GiB', 'MiB', 'KiB']
  const index = [2 ** 30, 2 ** 20, 2 ** 10].findIndex((unit) => bytes >= unit && bytes % unit === 0)
  return index < 0 ? `${bytes} bytes` : `${bytes / 2 ** (30 - 10 * index)} ${units[index]}`
}

function hex(value: number): string {
  return `0x${value.toString(16)}`
}
