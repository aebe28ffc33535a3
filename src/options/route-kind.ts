import { invalid } from '../native/errors.ts'
import type { NativeRoute } from '../native/seam.ts'
import type { Shape } from './shape.ts'

/** What a route of one kind has beside its claim. */
export interface RouteKind {
  /** Keys that go to the native side. */
  readonly values?: Shape
  /** Keys that stay here. */
  readonly handlers?: Shape
  /** Checks values that go together. */
  readonly together?: (name: string, values: Record<string, unknown>) => Partial<NativeRoute>
}

/** A function. */
export function handler(name: string, value: unknown): unknown {
  return typeof value === 'function' ? value : invalid(name, 'a function', value)
}
