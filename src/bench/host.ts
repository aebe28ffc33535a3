import { availableParallelism, cpus, release } from 'node:os'

import { native } from '../native/native.ts'
import type { BenchDocument } from './document.ts'

/** What the figures belong to. */
export function describeHost(): BenchDocument['host'] {
  return {
    backend: native.hostBackend(),
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    kernel: release(),
    node: process.version,
    cores: availableParallelism(),
  }
}
