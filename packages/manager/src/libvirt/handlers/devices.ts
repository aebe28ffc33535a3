import { Duplex } from 'node:stream'

import { ERROR, fail } from '../errors.ts'
import type { Handlers } from './call.ts'
import { codesOf } from './keys.ts'
import { activeOf, checkFlags } from './machines.ts'

/** `virDomainConsoleFlags`: many may be connected, so both say nothing here. */
const consoleFlags = 1 | 2

/** `virDomainMemoryFlags`. */
const PEEK = { physical: 2 } as const

/** Bytes that a client may look at in one call. */
const MAX_PEEK_BYTES = 64 * 1024

/** The longest that keys are held. */
const MAX_HOLD_MS = 10_000

/** The only console: that of the serial port. */
const consoleNames = [undefined, '', 'serial0', 'console0']

/** A stream of bytes that are there already. */
function finished(bytes: Uint8Array): Duplex {
  const stream = new Duplex({
    read() {},
    write: (_chunk, _encoding, done) => done(),
  })
  stream.push(bytes)
  stream.push(null)
  return stream
}

/** The console, the screen, the keys and the memory of a machine that runs. */
export const deviceHandlers = {
  domainOpenConsole: async ({ supervisor }, { dom, dev_name, flags }, call) => {
    checkFlags(flags, consoleFlags)
    const { name } = activeOf(supervisor, dom)
    if (!consoleNames.includes(dev_name)) {
      fail(ERROR.invalidArgument, `${name} has the console 'console0' only`)
    }
    call.openStream(await supervisor.console(name))
  },
  domainScreenshot: async ({ supervisor }, { dom, screen, flags }, call) => {
    checkFlags(flags, 0)
    const { name } = activeOf(supervisor, dom)
    if (screen !== 0) fail(ERROR.invalidArgument, `${name} has one screen, 0`)
    call.openStream(finished(await supervisor.screenshot(name)))
    return { mime: 'image/png' }
  },
  domainSendKey: async ({ supervisor }, { dom, codeset, holdtime, keycodes, flags }) => {
    checkFlags(flags, 0)
    const { name } = activeOf(supervisor, dom)
    const holdMs = holdtime > MAX_HOLD_MS ? fail(ERROR.invalidArgument, 'held too long') : holdtime
    const codes = codesOf(codeset, keycodes)
    // virsh says 0 when it is not told: then the keyboard's own time is right.
    await (holdMs === 0
      ? supervisor.sendKeys(name, codes)
      : supervisor.sendKeys(name, codes, holdMs))
  },
  domainInjectNmi: async ({ supervisor }, { dom, flags }) => {
    checkFlags(flags, 0)
    await supervisor.nmi(activeOf(supervisor, dom).name)
  },
  domainMemoryPeek: async ({ supervisor }, { dom, offset, size, flags }) => {
    const { name } = activeOf(supervisor, dom)
    if (flags !== PEEK.physical) {
      return fail(ERROR.argumentUnsupported, 'memory has physical addresses: VIR_MEMORY_PHYSICAL')
    }
    if (size > MAX_PEEK_BYTES || offset > BigInt(Number.MAX_SAFE_INTEGER)) {
      return fail(ERROR.invalidArgument, `at most ${MAX_PEEK_BYTES} bytes below 2^53`)
    }
    return { buffer: await supervisor.memory(name, Number(offset), size) }
  },
} satisfies Handlers
