import { AsyncResource } from 'node:async_hooks'

import { native } from './native.ts'

/** In an empty asynchronous context. */
const nowhere = emptied(new AsyncResource('vmexit'))

/**
 * Takes from a resource what it holds of the context in which it was made: stores on the resource
 * itself before Node.js 24, there a frame. Nothing else has a property for it but its two ids, each
 * the first of its value.
 */
function emptied(resource: AsyncResource): AsyncResource {
  const held = resource as unknown as Record<symbol, unknown>
  // Deno has but the first, and holds nothing here.
  const ids = [resource.asyncId(), resource.triggerAsyncId?.()]
  for (const key of Object.getOwnPropertySymbols(resource)) {
    const id = ids.indexOf(held[key] as number)
    if (id === -1) delete held[key]
    else ids.splice(id, 1)
  }
  return resource
}

/**
 * Calls in an empty asynchronous context: what is made there and lasts keeps no caller's
 * `AsyncLocalStorage` store.
 */
export function outside<T>(call: () => T): T {
  return nowhere.runInAsyncScope(call)
}

/** The asynchronous context of a run: what its handlers see is what the caller of `run()` saw. */
export class RunContext {
  #resource: AsyncResource | undefined = new AsyncResource('vmexit.run')

  /** Makes the native side continue in this context. */
  readonly enter = (): number =>
    this.#resource ? this.#resource.runInAsyncScope(native.inside) : native.inside()

  /** Calls in this context. */
  within(call: () => void): void {
    if (this.#resource) this.#resource.runInAsyncScope(call)
    else call()
  }

  /** The run is over: its promise may live long, and shall keep no store. */
  leave(): void {
    this.#resource = undefined
  }
}
