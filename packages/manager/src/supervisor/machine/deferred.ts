/** A promise that is resolved from elsewhere. */
export interface Deferred {
  /** The promise. */
  readonly promise: Promise<void>
  /** Resolves it. */
  readonly resolve: () => void
}

/** One that is not resolved yet. */
export function deferred(): Deferred {
  let resolve!: () => void
  const promise = new Promise<void>((done) => (resolve = done))
  return { promise, resolve }
}
