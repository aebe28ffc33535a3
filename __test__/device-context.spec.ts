import test from 'ava'

import { type Device, type DeviceContext, VirtualMachine, guests } from '../src/index.ts'
import { kvmTest } from './helpers/kvm.ts'

/** A device that tells what is called. */
class Told implements Device {
  readonly calls: string[] = []
  context: DeviceContext | undefined
  failing: string | undefined

  attach(context: DeviceContext): void {
    this.context = context
    this.#tell('attach')
  }

  write(_offset: number, _size: number, value: number | bigint): void {
    this.#tell(`write ${value}`)
  }

  close(): void {
    this.#tell('close')
  }

  #tell(call: string): void {
    this.calls.push(call)
    if (call === this.failing) throw new Error(`${call} failed`)
  }
}

function machineOf(...devices: Device[]): VirtualMachine {
  const routes = devices.map((device, index) => ({ port: 0x200 + index, device }))
  const vm = new VirtualMachine({ mode: 'long', payload: guests.numbered, routes })
  vm.memory.writeUint32(0x500, 2)
  return vm
}

kvmTest(
  'a device is attached before the guest runs, and told once that the machine is closed',
  (t) => {
    const device = new Told()
    const vm = machineOf(device)
    t.is(device.context?.machine, vm)
    t.is(device.context?.memory, vm.memory)
    t.deepEqual(device.context?.registers(), vm.registers())
    t.is(device.context?.irq(3).line, 3)
    vm.runSync()
    vm.close()
    vm.close()
    t.deepEqual(device.calls, ['attach', 'write 0', 'write 1', 'close'])
  },
)

kvmTest('a device of several routes is attached once', (t) => {
  const device = new Told()
  machineOf(device, device).close()
  t.deepEqual(device.calls, ['attach', 'close'])
})

kvmTest('a device that cannot be attached ends the constructor; those before it are told', (t) => {
  const [first, second, third] = [new Told(), new Told(), new Told()]
  second.failing = 'attach'
  t.throws(() => machineOf(first, second, third), { message: 'attach failed' })
  t.true(second.context?.machine.closed)
  t.deepEqual(first.calls, ['attach', 'close'])
  t.deepEqual([...second.calls, ...third.calls], ['attach'])
})

kvmTest('every device hears of the end, the last one first, also where one fails', (t) => {
  const order: string[] = []
  const [first, second] = ['first', 'second'].map((name) => ({
    read: () => 0,
    close: () => {
      order.push(name)
      throw new Error(`${name} failed`)
    },
  }))
  const vm = machineOf(first!, second!)
  t.throws(() => vm.close(), { message: 'second failed' })
  t.deepEqual(order, ['second', 'first'])
  t.true(vm.closed)
  vm.close()
})

kvmTest('a device that closes its machine is told, and not called again', async (t) => {
  const device = new Told()
  const closing: Device = { write: () => device.context?.machine.close() }
  const vm = new VirtualMachine({
    mode: 'long',
    payload: guests.numbered,
    routes: [
      { port: 0x200, device: closing },
      { port: 0x300, device },
    ],
  })
  vm.memory.writeUint32(0x500, 2)
  await t.throwsAsync(vm.run(), { code: 'ERR_VM_CLOSED' })
  t.deepEqual(device.calls, ['attach', 'close'])
})

kvmTest('a device moves data itself, by what its context gives', async (t) => {
  class Copier implements Device {
    #context: DeviceContext | undefined

    attach(context: DeviceContext): void {
      this.#context = context
    }

    write(): void {
      const { memory } = this.#context!
      memory.writeUint32(0x600, memory.readUint32(0x500) + 1)
    }
  }
  using vm = machineOf(new Copier())
  await vm.run()
  t.is(vm.memory.readUint32(0x600), 3)
})

test('what attach and close are is checked', (t) => {
  for (const key of ['attach', 'close']) {
    const device = { read: () => 0, [key]: 1 } as Device
    t.throws(() => machineOf(device), {
      message: `routes[0].device.${key} must be a function, got 1`,
    })
  }
})

kvmTest('an image may lie in memory that others write to: it counts as it is then', (t) => {
  const code = [0xb8, 0x2a, 0x00, 0xf4] // mov ax, 42; hlt
  using other = machineOf({ read: () => 0 })
  const shared = new Uint8Array(new SharedArrayBuffer(code.length))
  const inGuest = new Uint8Array(other.memory.buffer, 0x800, code.length)
  for (const image of [shared, inGuest]) {
    image.set(code)
    using vm = new VirtualMachine({ mode: 'real', payload: { image } })
    image.fill(0)
    vm.runSync()
    t.is(vm.registers().rax, 42n)
  }
})
