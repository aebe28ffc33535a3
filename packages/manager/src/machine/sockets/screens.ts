import type { MachineDefinition, ScreenServer, VirtualMachine } from 'vmexit'

import { ManagerError } from '../../supervisor/errors.ts'

/** Where a machine's screen is shown. */
export class ScreenSockets {
  readonly #path: string
  readonly #vnc: { port: number; password: string } | undefined
  #servers: ScreenServer[] = []

  /** By a socket, and where the definition says so by a port. */
  constructor(path: string, { manager }: MachineDefinition) {
    this.#path = path
    const { vnc } = (manager ?? {}) as { vnc?: { port?: number; password: string } }
    this.#vnc = vnc && { port: vnc.port ?? 0, password: vnc.password }
  }

  /** The socket, once there is one. */
  get path(): string | undefined {
    return this.#servers.length > 0 ? this.#path : undefined
  }

  /** The port, once there is one. */
  get port(): number | undefined {
    return this.#servers.length > 1 ? this.#vnc?.port : undefined
  }

  /** Shows a machine's screen, if it has one. */
  async serve({ screen }: VirtualMachine): Promise<void> {
    if (!screen) {
      if (!this.#vnc) return
      throw new ManagerError(
        'ERR_INVALID_OPTION',
        'manager.vnc shows a screen: give the machine one',
      )
    }
    this.#servers.push(await screen.listen({ path: this.#path }))
    if (!this.#vnc) return
    const server = await screen.listen(this.#vnc)
    this.#servers.push(server)
    // After a reset it is the same.
    this.#vnc.port = Number(server.address.slice(server.address.lastIndexOf(':') + 1))
  }

  /** Shows it no longer. */
  async leave(): Promise<void> {
    const servers = this.#servers
    this.#servers = []
    await Promise.all(servers.map((server) => server.close()))
  }
}
