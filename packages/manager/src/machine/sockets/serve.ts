import { rmSync } from 'node:fs'
import { type Server, type Socket, createServer } from 'node:net'

/** Connections to one socket that are open at the same time; further ones are closed at once. */
const maxConnections = 64

/** How long whoever is connected may take for the rest when a machine has ended. */
export const farewellMs = 1000

/** Serves a Unix socket that only this user can connect to. */
export async function serveSocket(
  path: string,
  onConnection: (socket: Socket) => void,
): Promise<Server> {
  rmSync(path, { force: true })
  const server = createServer({ allowHalfOpen: false }, onConnection)
  server.maxConnections = maxConnections
  // The process's umask takes the rights of others away.
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(path, resolve)
  })
  server.on('error', () => undefined)
  return server
}

/** Accepts nobody any more. */
export function stopServing(server: Server): void {
  server.close(() => undefined)
}
