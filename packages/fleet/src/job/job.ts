import type { MachineDefinition } from 'vmexit'

/**
 * What JSON can say.
 *
 * @category Fleet
 */
export type JsonValue =
  | null
  | boolean
  | number
  | string
  | readonly JsonValue[]
  | { readonly [key: string]: JsonValue }

/**
 * Content of the store, by its hash.
 *
 * @category Fleet
 */
export interface Hashed {
  /** `sha256-` and 64 hexadecimal digits, as `put` of a store returns it. */
  readonly hash: string
}

/**
 * A program of Linux that runs in ring 3, as `execute()` of `vmexit/process` does.
 *
 * @category Fleet
 */
export interface NativeProgram extends Hashed {
  /** Where it finds itself, by which some programs go, default `/program`. */
  readonly path?: string
  /** Its arguments, without its name. */
  readonly args?: readonly string[]
  /** Its environment. */
  readonly env?: Readonly<Record<string, string>>
  /** Files that it sees, by path: their text, or content of the store. */
  readonly files?: Readonly<Record<string, string | Hashed>>
  /** What it reads from its standard input. */
  readonly stdin?: string
}

/**
 * A function of a library that runs in ring 3, as `instantiate()` of `vmexit/process` does.
 *
 * @category Fleet
 */
export interface NativeCall extends Hashed {
  /** Its name, its signature in C's words, and its arguments. */
  readonly call: readonly [name: string, signature: string, ...args: JsonValue[]]
}

/**
 * What a job may use at most.
 *
 * @category Fleet
 */
export interface JobLimits {
  /** Milliseconds for one attempt, 1 to 86,400,000; its default is that of `map`. */
  readonly timeoutMs?: number
  /** Bytes of guest memory, up to 64 GiB; a job that asks for more fails. */
  readonly memoryBytes?: number
  /** Bytes of the text that a result holds, up to 16 MiB (default 1 MiB); the rest is cut. */
  readonly maxOutputBytes?: number
}

/**
 * What a host must have, in the words of `vmexit doctor`.
 *
 * @category Fleet
 */
export interface JobNeeds {
  /** The kernel module that is KVM there. */
  readonly backend?: 'kvm_intel' | 'kvm_amd' | 'kvm_pvm'
  /** CPU modes that it must run. */
  readonly modes?: readonly string[]
}

/**
 * A job is data. It has one of `definition`, `snapshot` and `native`, or `module` alone; `module`
 * may stand beside each of them.
 *
 * @category Fleet
 */
export interface Job {
  /** 1 to 200 of `A-Z a-z 0-9 . _ : -`; it stands in the results once. */
  readonly id: string
  /** A machine, whose files are `{ hash }` in the place of a path. */
  readonly definition?: MachineDefinition | Readonly<Record<string, JsonValue>>
  /** A machine as `Snapshot.save()` has written it. */
  readonly snapshot?: Hashed
  /** Code in ring 3: a program, or a function of a library. */
  readonly native?: NativeProgram | NativeCall
  /** The name of a job module that the worker's owner has installed: `[a-z0-9-]+`. */
  readonly module?: string
  /** What the module is given. */
  readonly input?: JsonValue
  /** What it may use at most. */
  readonly limits?: JobLimits
  /** What its host must have. */
  readonly needs?: JobNeeds
}

/**
 * Why a job failed.
 *
 * @category Fleet
 */
export interface JobError {
  /** One of vmexit's codes, such as `ERR_PAYLOAD` or `ERR_TIMEOUT`. */
  readonly code: string
  /** The reason, for people. */
  readonly message: string
}

/**
 * What became of a job.
 *
 * @category Fleet
 */
export interface Result {
  /** The job's. */
  readonly id: string
  /** `'done'` whatever the guest did; `'failed'` when there is no value. */
  readonly status: 'done' | 'failed'
  /** What the run, or the module, has returned. */
  readonly value?: JsonValue
  /** Why there is no value. */
  readonly error?: JobError
  /** How often it was begun. */
  readonly attempts: number
  /** The name of the host that has finished it. */
  readonly host: string
  /** The last attempt, in milliseconds. */
  readonly durationMs: number
  /** Of these, what was spent in runs of machines and programs. */
  readonly guestMs: number
}
