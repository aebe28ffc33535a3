import { procedure } from './procedure.ts'
import { list, nothing, optional, struct, text, uint } from './shapes.ts'
import { domain } from './types.ts'

/** Of a machine's console, screen and keys. */
export const deviceProcedures = {
  domainOpenConsole: procedure(
    201,
    'DOMAIN_OPEN_CONSOLE',
    'write',
    struct({ dom: domain, dev_name: optional(text), flags: uint }),
    nothing,
  ),
  domainScreenshot: procedure(
    211,
    'DOMAIN_SCREENSHOT',
    'write',
    struct({ dom: domain, screen: uint, flags: uint }),
    struct({ mime: optional(text) }),
  ),
  domainSendKey: procedure(
    226,
    'DOMAIN_SEND_KEY',
    'write',
    struct({ dom: domain, codeset: uint, holdtime: uint, keycodes: list(uint, 16), flags: uint }),
    nothing,
  ),
  domainInjectNmi: procedure(
    210,
    'DOMAIN_INJECT_NMI',
    'write',
    struct({ dom: domain, flags: uint }),
    nothing,
  ),
  domainOpenGraphics: procedure(
    249,
    'DOMAIN_OPEN_GRAPHICS',
    'write',
    struct({ dom: domain, idx: uint, flags: uint }),
    nothing,
  ),
  domainOpenChannel: procedure(
    296,
    'DOMAIN_OPEN_CHANNEL',
    'write',
    struct({ dom: domain, name: optional(text), flags: uint }),
    nothing,
  ),
} as const
