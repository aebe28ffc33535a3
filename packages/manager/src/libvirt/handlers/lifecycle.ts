import type { StartOptions, Supervisor } from '../../supervisor/interface.ts'
import { ERROR, fail } from '../errors.ts'
import type { Domain } from '../xdr/types.ts'
import type { Handlers } from './call.ts'
import { activeOf, checkFlags, domainOf, isActive, machineOf } from './machines.ts'

/** `virDomainCreateFlags`. */
const CREATE = { paused: 1, bypassCache: 4, forceBoot: 8, validate: 16 } as const
const createFlags = CREATE.paused | CREATE.bypassCache | CREATE.forceBoot

/** How to start, by flags. `VIR_DOMAIN_START_AUTODESTROY` is refused. */
export function startOptions(flags: number): StartOptions {
  checkFlags(flags, createFlags | CREATE.validate)
  return { paused: (flags & CREATE.paused) !== 0, fresh: (flags & CREATE.forceBoot) !== 0 }
}

/** `virDomainShutdownFlagValues` and those of a reboot: by ACPI, which is what we have. */
const byAcpi = 1

async function start(supervisor: Supervisor, dom: Domain, flags: number): Promise<Domain> {
  const view = machineOf(supervisor, dom)
  const options = startOptions(flags)
  if (isActive(view)) return fail(ERROR.operationInvalid, `${view.name} runs already`)
  return domainOf(await supervisor.start(view.name, options))
}

async function powerButton(supervisor: Supervisor, dom: Domain, flags: number): Promise<void> {
  checkFlags(flags, byAcpi)
  await supervisor.powerButton(machineOf(supervisor, dom).name)
}

async function kill(supervisor: Supervisor, dom: Domain): Promise<void> {
  await supervisor.kill(activeOf(supervisor, dom).name)
}

/** Start, stop and what lies between them. */
export const lifecycleHandlers = {
  domainCreate: async ({ supervisor }, { dom }) => {
    await start(supervisor, dom, 0)
  },
  domainCreateWithFlags: async ({ supervisor }, { dom, flags }) => ({
    dom: await start(supervisor, dom, flags),
  }),
  domainShutdown: ({ supervisor }, { dom }) => powerButton(supervisor, dom, 0),
  domainShutdownFlags: ({ supervisor }, { dom, flags }) => powerButton(supervisor, dom, flags),
  domainReboot: async ({ supervisor }, { dom, flags }) => {
    checkFlags(flags, byAcpi)
    await supervisor.reset(machineOf(supervisor, dom).name)
  },
  domainReset: async ({ supervisor }, { dom, flags }) => {
    checkFlags(flags, 0)
    await supervisor.reset(machineOf(supervisor, dom).name)
  },
  domainDestroy: ({ supervisor }, { dom }) => kill(supervisor, dom),
  domainDestroyFlags: ({ supervisor }, { dom, flags }) => {
    // VIR_DOMAIN_DESTROY_GRACEFUL would have a machine run on that does not end by itself.
    checkFlags(flags, 0)
    return kill(supervisor, dom)
  },
  domainSuspend: async ({ supervisor }, { dom }) => {
    await supervisor.pause(machineOf(supervisor, dom).name)
  },
  domainResume: async ({ supervisor }, { dom }) => {
    await supervisor.resume(machineOf(supervisor, dom).name)
  },
  domainGetAutostart: ({ supervisor }, { dom }) => ({
    autostart: machineOf(supervisor, dom).autostart ? 1 : 0,
  }),
  domainSetAutostart: async ({ supervisor }, { dom, autostart }) => {
    await supervisor.setAutostart(machineOf(supervisor, dom).name, autostart !== 0)
  },
} satisfies Handlers
