import test from 'ava'

import { type Device, type DeviceContext, VirtualMachine, guests } from '../src/index.ts'
import { checkStates, putStatesBack, saveStates } from '../src/machine/snapshot/states.ts'
import { kvmTest } from './helpers/kvm.ts'
import { vmError } from './helpers/machine.ts'

/** A device whose state is an object that it goes on changing. */
class Counter implements Device {
  state = { count: 0 }
  restores = 0

  read(): number {
    return this.state.count++
  }

  save(): unknown {
    return this.state
  }

  restore(state: unknown): void {
    this.restores++
    this.state = state as { count: number }
  }
}

/** Routes of these devices at ports 0x200, 0x201, … */
const routesOf = (...devices: (Device | undefined)[]) =>
  devices.map((device, index) => ({
    name: 'route',
    place: `port 0x${(0x200 + index).toString(16)}`,
    ...(device && { device }),
  }))

function failing(cause: Error): Device {
  const fail = (): never => {
    throw cause
  }
  return { read: () => 0, save: fail, restore: fail }
}

test('a state is a copy, and each restore gives a further one', (t) => {
  const counter = new Counter()
  counter.read()
  const states = saveStates(routesOf(counter))
  for (let round = 0; round < 3; round++) {
    t.is(counter.read(), 1)
    counter.read()
    putStatesBack(states, routesOf(counter))
  }
  t.is(counter.read(), 1)
})

test('a device of several routes is asked once and told once', (t) => {
  let saves = 0
  const counter = Object.assign(new Counter(), { save: () => ++saves })
  const states = saveStates(routesOf(counter, undefined, counter))
  const expected = [
    ['port 0x200', 1],
    ['port 0x202', 1],
  ]
  t.deepEqual([...states], expected as [string, unknown][])
  putStatesBack(states, routesOf(counter, undefined, counter))
  t.deepEqual([saves, counter.restores], [1, 1])
})

test('a state is found by place, whatever the order of the routes', (t) => {
  const [first, second, third] = [new Counter(), new Counter(), new Counter()]
  first.state.count = 5
  const states = saveStates(routesOf(first, second))
  const others = [new Counter(), new Counter()]
  const routes = routesOf(...others, third).toReversed()
  checkStates(states, routes)
  putStatesBack(states, routes)
  t.deepEqual(
    [...others, third].map(({ state, restores }) => [state.count, restores]),
    [
      [5, 1],
      [0, 1],
      [0, 0],
    ],
  )
})

test('a state without a taker is refused, and named', (t) => {
  const states = saveStates(routesOf(new Counter(), new Counter()))
  for (const other of [undefined, { read: () => 0 }]) {
    t.throws(
      () => checkStates(states, routesOf(new Counter(), other)),
      vmError('ERR_SNAPSHOT', /^the snapshot has the state of a device at port 0x201, where/),
    )
  }
})

test('a save that throws, and a state that cannot be copied, name the place', (t) => {
  const cause = new Error('not now')
  const error = t.throws(
    () => saveStates(routesOf(failing(cause))),
    vmError('ERR_HANDLER', /^save of the device at port 0x200 failed: not now$/),
  )
  t.is(error?.cause, cause)
  for (const state of [() => 0, Symbol('state'), Promise.resolve(), { deep: [new WeakMap()] }]) {
    const odd = Object.assign(new Counter(), { save: () => state })
    t.throws(
      () => saveStates(routesOf(new Counter(), odd)),
      vmError('ERR_SNAPSHOT', /^the state of the device at port 0x201 cannot be copied: /),
    )
  }
})

test('when a restore fails the others are told, and the first error counts', (t) => {
  const cause = new Error('no')
  const late: Device = {
    read: () => 0,
    save: () => 1,
    restore: () => Promise.reject(new Error('late')) as unknown as void,
  }
  const counter = new Counter()
  const routes = routesOf(failing(cause), late, counter)
  const states = new Map(routes.map(({ place }) => [place, {}]))
  const error = t.throws(
    () => putStatesBack(states, routes),
    vmError('ERR_HANDLER', /^restore of the device at port 0x200 failed: no$/),
  )
  t.is(error?.cause, cause)
  t.is(counter.restores, 1)
  t.throws(
    () => putStatesBack(states, routesOf(late)),
    vmError('ERR_ASYNC_HANDLER', /^restore of the device at port 0x200 returned a promise/),
  )
})

const machineOf = (device: Device, port = 0x60): VirtualMachine =>
  new VirtualMachine({ mode: 'long', payload: guests.input, routes: [{ port, device }] })

kvmTest('what a device writes into memory when it is asked belongs to the snapshot', (t) => {
  class Flushing extends Counter {
    #context: DeviceContext | undefined

    attach(context: DeviceContext): void {
      this.#context = context
    }

    override save(): unknown {
      this.#context?.memory.writeUint32(0x600, 7)
      return super.save()
    }

    override restore(state: unknown): void {
      super.restore(state)
      t.is(this.#context?.memory.readUint32(0x600), 7)
    }
  }
  const device = new Flushing()
  using vm = machineOf(device)
  using base = vm.snapshot()
  vm.memory.writeUint32(0x600, 1)
  vm.restore(base)
  t.is(device.restores, 1)
})

kvmTest('a device that cannot be asked leaves its machine as it was', (t) => {
  const cause = new Error('not now')
  using vm = machineOf(failing(cause))
  const error = t.throws(() => vm.snapshot(), vmError('ERR_HANDLER', /save of the device/))
  t.is(error?.cause, cause)
  t.is(vm.runSync({ onExit: () => 0 }).reason, 'hlt')
})

kvmTest('a state without a taker changes nothing', (t) => {
  using vm = machineOf(new Counter())
  using base = vm.snapshot()
  using other = machineOf({ read: () => 0 })
  other.memory.writeUint32(0x600, 9)
  t.throws(() => other.restore(base), vmError('ERR_SNAPSHOT', /at port 0x60, where/))
  t.is(other.memory.readUint32(0x600), 9)
})

kvmTest('a device that closes its machine when it is asked, or told, ends the call', (t) => {
  let vm: VirtualMachine | undefined
  const closing = new Counter()
  vm = machineOf(Object.assign(closing, { save: () => vm?.close() }))
  t.throws(() => vm?.snapshot(), vmError('ERR_VM_CLOSED'))
  const told = new Counter()
  vm = machineOf(told)
  using base = vm.snapshot()
  told.restore = () => vm?.close()
  t.notThrows(() => vm?.restore(base))
  t.true(vm.closed)
})
