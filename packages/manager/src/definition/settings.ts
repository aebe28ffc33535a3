import type { MachineDefinition } from 'vmexit'

import type { Schema } from './schema.ts'

/** What a machine's process may have. */
interface MachineLimits {
  /** Bytes of memory, the guest's too: of a cgroup, or of `RLIMIT_DATA` where there is none. */
  readonly memoryBytes?: number
  /** Open files (`RLIMIT_NOFILE`). */
  readonly openFiles?: number
  /** Seconds of processor time (`RLIMIT_CPU`). */
  readonly cpuSeconds?: number
}

/** What a manager keeps about a machine: the key `manager` of its definition. */
export interface ManagerSettings {
  /** Whether the daemon starts it when it starts. Default false. */
  readonly autostart?: boolean
  /** When it starts again: `on-failure` when it crashed, `always` when it ended. Default `no`. */
  readonly restart?: 'no' | 'on-failure' | 'always'
  /** Machines of one group share a process. Default: a process of its own. */
  readonly group?: string
  /** What its process may have. */
  readonly limits?: MachineLimits
  /** Its screen at a port of 127.0.0.1, too. */
  readonly vnc?: {
    /** 0, the default, for any free one, or 5900 to 65535. */
    readonly port?: number
    /** 1 to 8 characters from space to ~. */
    readonly password: string
  }
}

/** A definition that was checked: it has a name, and its paths are absolute. */
export type ManagedDefinition = Omit<MachineDefinition, 'manager' | 'name'> & {
  readonly name: string
  readonly manager?: ManagerSettings
}

const most = (description: string, maximum: number): Schema => ({
  description,
  type: 'integer',
  minimum: 1,
  maximum,
})

/** The key `manager`, in the words of `machine.schema.json`. */
export const managerSchema: Schema = {
  type: 'object',
  properties: {
    autostart: { type: 'boolean' },
    restart: { enum: ['no', 'on-failure', 'always'] },
    group: {
      type: 'string',
      pattern: '^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$',
      expected: 'up to 63 letters, digits, ., _ and -, beginning with a letter or digit',
    },
    limits: {
      type: 'object',
      properties: {
        memoryBytes: most('Memory.', Number.MAX_SAFE_INTEGER),
        openFiles: most('Open files.', 2 ** 20),
        cpuSeconds: most('Processor time.', 2 ** 31 - 1),
      },
      additionalProperties: false,
    },
    vnc: {
      type: 'object',
      properties: {
        port: {
          anyOf: [{ enum: [0] }, { type: 'integer', minimum: 5900, maximum: 65_535 }],
          expected: '0, or a whole number from 5900 to 65535',
        },
        password: {
          type: 'string',
          pattern: '^[ -~]{1,8}$',
          expected: '1 to 8 characters from space to ~',
          secret: true,
        },
      },
      additionalProperties: false,
      required: ['password'],
    },
  },
  additionalProperties: false,
}
