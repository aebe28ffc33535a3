// The screen of a machine, served: what the guest shows and reads, and what ends the service.
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import type { ExecutionContext } from 'ava'

import { VirtualMachine, guests } from '../src/index.ts'
import { RfbClient, messages } from './fixtures/rfb-client.ts'
import { until } from './fixtures/until.ts'
import { codesOf, echoMachine } from './fixtures/viewers/echo.ts'
import { fromRgba } from './fixtures/viewers/images.ts'
import { kvmTest } from './helpers/kvm.ts'
import { vmError } from './helpers/machine.ts'

function socketIn(t: ExecutionContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'rfb-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  return join(folder, 'screen')
}

function idle(): VirtualMachine {
  return new VirtualMachine({
    mode: 'real',
    pc: true,
    memoryBytes: 2 ** 20,
    screen: 'text',
    payload: guests.hello,
  })
}

/** Takes updates until the viewer's picture is the screen's. */
async function seesAll(client: RfbClient, vm: VirtualMachine): Promise<boolean> {
  const picture = new Uint32Array(client.width * client.height)
  client.request()
  const end = performance.now() + 300_000
  while (performance.now() < end) {
    for (const { x, y, width, height, bytes } of await client.update()) {
      for (let at = 0; at < width * height; at++) {
        const place = (y + Math.floor(at / width)) * client.width + x + (at % width)
        picture[place] = bytes.readUInt32LE(at * 4) & 0xff_ffff
      }
    }
    const { words } = fromRgba(client.width, client.height, vm.screen!.pixels())
    if (words.every((word, at) => word === picture[at])) return true
    client.request(true)
  }
  return false
}

kvmTest('a viewer sees a running guest, types, and sees what the guest makes of it', async (t) => {
  using vm = echoMachine()
  const run = vm.run()
  const path = socketIn(t)
  await vm.screen!.listen({ path })
  using client = await RfbClient.open(path)
  t.deepEqual([client.width, client.height, client.name], [640, 400, 'vmexit'])
  t.true(await seesAll(client, vm))
  client.send(
    ...[0x6c, 0x73, 0xff0d].flatMap((key) => [messages.key(true, key), messages.key(false, key)]),
  )
  t.true(await until(() => codesOf(vm, 3).join() === [0x26, 0x1f, 0x1c].join()))
  t.true(await seesAll(client, vm))
  await vm.pause()
  t.true(await seesAll(client, vm))
  vm.resume()
  vm.stop()
  t.is((await run).reason, 'stopped')
  vm.memory.write(0xb_8000, new Uint8Array(160))
  t.true(await seesAll(client, vm))
})

kvmTest('a framebuffer is served, too', async (t) => {
  using vm = new VirtualMachine({
    mode: 'long',
    pc: true,
    memoryBytes: 2 ** 20,
    screen: { width: 100, height: 64 },
    payload: guests.hello,
  })
  vm.memory.write(
    0xf000_0000,
    Uint8Array.from({ length: 25_600 }, (_, at) => at % 251),
  )
  await using server = await vm.screen!.listen({ port: 0, password: 'secret' })
  using client = await RfbClient.open(server.address, 8, 'secret')
  t.true(await seesAll(client, vm))
  vm.memory.write(0xf000_5000, Uint8Array.of(1, 2, 3, 4))
  t.true(await seesAll(client, vm))
})

kvmTest('closing the machine drops viewers, removes the socket and ends the server', async (t) => {
  const vm = idle()
  const path = socketIn(t)
  const server = await vm.screen!.listen({ path })
  using client = await RfbClient.open(path)
  vm.close()
  t.false(existsSync(path))
  await client.dropped()
  await server.close()
  t.true(await until(() => server.viewers === 0))
  await t.throwsAsync(vm.screen!.listen({ path }), vmError('ERR_VM_CLOSED'))
  t.false(existsSync(path))
})

kvmTest('a machine that is closed while it begins to listen leaves nothing', async (t) => {
  const vm = idle()
  const path = socketIn(t)
  const listening = vm.screen!.listen({ path })
  vm.close()
  await t.throwsAsync(listening, vmError('ERR_VM_CLOSED'))
  t.false(existsSync(path))
})

kvmTest('a screen may be served at several places, and again after close()', async (t) => {
  using vm = idle()
  const path = socketIn(t)
  const first = await vm.screen!.listen({ path })
  await using other = await vm.screen!.listen({ port: 0, password: 'secret' })
  using one = await RfbClient.open(first.address)
  using two = await RfbClient.open(other.address, 8, 'secret')
  t.true(await seesAll(one, vm))
  t.true(await seesAll(two, vm))
  await first.close()
  await using again = await vm.screen!.listen({ path })
  using three = await RfbClient.open(again.address)
  t.true(await seesAll(three, vm))
  t.true(await seesAll(two, vm))
})
