import { type Daemon, ManagerError, type MachineView, startDaemon } from '@vmexit/manager'
import { type Client, connect } from '@vmexit/manager/client'

export async function states(socket: string): Promise<string[]> {
  const client: Client = connect({ socket })
  const machines: readonly MachineView[] = await client.list()
  return machines.map(({ name, state }) => `${name}: ${state}`)
}

export async function keep(state: string, runtime: string): Promise<Daemon | string> {
  try {
    return await startDaemon({ state, runtime })
  } catch (error) {
    if (error instanceof ManagerError) return error.code
    throw error
  }
}
