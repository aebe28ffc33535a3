import { accessSync, constants } from 'node:fs'
import { availableParallelism, cpus, release } from 'node:os'

import { native } from '../native/native.ts'
import { VirtualMachine } from '../index.ts'
import type { BenchDocument } from './document.ts'
import { hltImage } from './images.ts'

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

/** Whether this process may use KVM, as far as that shows without a machine. */
export function mayOpenKvm(): boolean {
  try {
    accessSync('/dev/kvm', constants.R_OK | constants.W_OK)
    return true
  } catch {
    return false
  }
}

/** Makes a machine: without KVM nothing can be measured, and this says why. */
export function oneMachine(): void {
  new VirtualMachine({ mode: 'long', payload: { image: hltImage } }).close()
}
