import type { FrontEnd } from '../supervisor/front-end.ts'
import type { Supervisor } from '../supervisor/interface.ts'
import type { DaemonSockets } from '../paths/index.ts'
import type { DaemonOptions } from './options.ts'

/** The front ends of a daemon. */
export interface FrontEnds {
  /** HTTP at a Unix socket. */
  readonly api: FrontEnd
  /** libvirt's protocol. */
  readonly libvirt: FrontEnd
  /** HTTP by TCP. */
  readonly tcp?: FrontEnd
  /** All of them. */
  readonly all: readonly FrontEnd[]
}

/** Opens them. */
export async function openFrontEnds(
  supervisor: Supervisor,
  sockets: DaemonSockets,
  options: DaemonOptions,
): Promise<FrontEnds> {
  void supervisor
  void options
  const none = (address: string): FrontEnd => ({
    address,
    close: async () => {},
    counts: () => ({}),
  })
  const api = none(sockets.api)
  const libvirt = none(sockets.libvirt)
  return { api, libvirt, all: [api, libvirt] }
}
