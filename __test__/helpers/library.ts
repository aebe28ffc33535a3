// Native libraries, instantiated for a test.
import type { ExecutionContext } from 'ava'

import { type InstantiateOptions, type Library, instantiate } from '../../src/process/index.ts'
import { kvmTest } from './kvm.ts'
import { type NativeLibrary, type NativeName, nativeLibrary } from './native.ts'

/** Ends a call that would otherwise hang; no test waits for it. */
const timeoutMs = 300_000

/** Functions of the library `plain`, for those who want other imports. */
export const unasked = { visit: () => 0, weigh: () => 0, unheard: () => undefined }

/** A test of a library; it is skipped where there is no compiler for it. */
export function imageTest(
  title: string,
  build: () => NativeLibrary,
  body: (t: ExecutionContext, image: Uint8Array) => Promise<void>,
): void {
  kvmTest(title, async (t) => {
    const library = build()
    if ('image' in library) return body(t, library.image)
    t.log(`skipped: ${library.missing}`)
    t.pass()
  })
}

// oxlint-disable-next-line typescript/no-explicit-any
export type AnyLibrary = Library<any>

/** The same with an instance, which is closed afterwards. */
export function libraryTest(
  title: string,
  name: NativeName,
  body: (t: ExecutionContext, lib: AnyLibrary) => void | Promise<void>,
  options: InstantiateOptions = {},
): void {
  imageTest(
    title,
    () => nativeLibrary(name),
    async (t, image) => {
      using lib = await instantiate(image, { timeoutMs, imports: unasked, ...options })
      await body(t, lib)
    },
  )
}
