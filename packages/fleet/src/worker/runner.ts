import type { Children } from '../child/children.ts'

/** Runs jobs in child processes, several at a time. */
export type Runner = Pick<Children, 'run' | 'close'>
