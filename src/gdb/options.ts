import { fileURLToPath } from 'node:url'

import { fail, invalid } from '../native/errors.ts'
import { checkBytes, checkInteger, checkKeys, checkObject } from '../options/check.ts'

/**
 * Where gdb finds a machine, and what it is told of the guest.
 *
 * @category Debugging
 */
export interface GdbOptions {
  /** A TCP port of 127.0.0.1, which every user of this host reaches; 0 is one that is free. */
  readonly port?: number
  /** Of a Unix socket that is made there, for this user only: a string or a `file:` URL. */
  readonly path?: string | URL
  /** The ELF image of the guest with its debug information: gdb reads it when it connects. */
  readonly symbols?: Uint8Array
}

/** The same, checked. */
export interface Checked {
  readonly port?: number
  readonly path?: string
  readonly symbols: Uint8Array | undefined
}

const ELF = [0x7f, 0x45, 0x4c, 0x46]

/** A machine, of any copy of this package. */
export function checkMachine(vm: unknown): void {
  const { run, pause, vcpus } = checkObject('vm', vm)
  const isMachine = typeof run === 'function' && typeof pause === 'function' && vcpus !== undefined
  if (!isMachine) invalid('vm', 'a VirtualMachine', vm)
}

/** `listenGdb`'s. */
export function checkGdbOptions(options: unknown): Checked {
  const given = checkObject('options', options)
  checkKeys('options', given, ['port', 'path', 'symbols'])
  const { port, path } = given
  const symbols = given['symbols'] === undefined ? undefined : checkElf(given['symbols'])
  if (port !== undefined && path !== undefined)
    return fail('ERR_INVALID_OPTION', 'options must have a port or a path, got both')
  return {
    ...(port !== undefined && { port: checkInteger('port', port, 0, 65_535) }),
    ...(path !== undefined && { path: checkPath(path) }),
    symbols,
  }
}

function checkElf(value: unknown): Uint8Array {
  const bytes = checkBytes('symbols', value)
  if (ELF.every((byte, index) => bytes[index] === byte)) return bytes
  return fail('ERR_INVALID_OPTION', 'symbols must be an ELF image')
}

function checkPath(value: unknown): string {
  const path = value instanceof URL && value.protocol === 'file:' ? fileURLToPath(value) : value
  const isPath = typeof path === 'string' && path !== '' && !path.includes('\0')
  return isPath ? path : invalid('path', 'a path or a file: URL', value)
}
