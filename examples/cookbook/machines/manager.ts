// Start machines of the manager
//
// prints: starting
//         running
//         ended by hlt
//         Hello, world!
import { startDaemon } from '@vmexit/manager'
import { connect } from '@vmexit/manager/client'

// In place of `npx vmexit daemon`, which prints the socket to connect to.
const daemon = await startDaemon({ state: 'manager/state', runtime: 'manager/run' })
const client = connect({ socket: daemon.api })

await client.define({
  name: 'first',
  mode: 'long',
  payload: { guest: 'hello' },
  routes: [{ port: '0xe9', to: 'console' }],
})
const { lastSeq } = await client.version()
await client.start('first')
for await (const { type, reason } of client.events({ since: lastSeq })) {
  console.log(reason ? `${type} by ${reason}` : type)
  if (type === 'ended') break
}
console.log(String(await client.log('first')).trim())

await client.undefine('first')
await client.close()
await daemon.close()
