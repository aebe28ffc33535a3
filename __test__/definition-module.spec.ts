// The module of a definition: code for what is no data.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import test, { type ExecutionContext } from 'ava'

import {
  type MachineDefinition,
  VirtualMachine,
  type VirtualMachineOptions,
  VmError,
  fromDefinition,
  guests,
} from '../src/index.ts'
import { kvmTest } from './helpers/kvm.ts'

const folder = mkdtempSync(join(tmpdir(), 'vmexit module -'))
test.after.always(() => rmSync(folder, { recursive: true }))

let count = 0

/** What a definition with this module gives. */
function made(
  code: string,
  definition: Partial<MachineDefinition> = {},
): Promise<VirtualMachineOptions> {
  count += 1
  const module = `module-${count}.mjs`
  writeFileSync(join(folder, module), code)
  const all: MachineDefinition = { payload: { guest: 'hello' }, ...definition, module }
  return fromDefinition(all, { base: folder })
}

kvmTest('a device of a module answers the guest', async (t) => {
  const code = `export default () => {
    const keys = [...Buffer.from('hi\\0')]
    return { routes: [{ port: 0x60, device: { read: () => keys.shift() ?? 0 } }] }
  }`
  const payload = { guest: 'input' }
  const routes = [{ port: '0xe9', to: 'console' } as const]
  using vm = new VirtualMachine(await made(code, { mode: 'long', payload, routes }))
  t.is(vm.runSync({ timeoutMs: 300_000 }).outputText, 'hi')
})

test('what it gives is merged over the definition, and arrays are appended', async (t) => {
  const code = `export default async () => ({
    mode: 'long',
    vcpus: undefined,
    memoryBytes: 8192,
    slots: [{ gpa: 2 ** 33, bytes: 4096 }],
    routes: [{ port: 2, to: 'count' }],
  })`
  const definition: Partial<MachineDefinition> = {
    mode: 'real',
    vcpus: 2,
    slots: [{ gpa: 2 ** 32, bytes: 4096 }],
    routes: [{ port: 1, to: 'count' }],
  }
  t.deepEqual(await made(code, definition), {
    mode: 'long',
    vcpus: 2,
    slots: [
      { gpa: 2 ** 32, bytes: 4096 },
      { gpa: 2 ** 33, bytes: 4096 },
    ],
    routes: [
      { port: 1, to: 'count' },
      { port: 2, to: 'count' },
    ],
    payload: guests.hello,
    memoryBytes: 8192,
  })
  t.deepEqual(await made('export default () => ({})'), { payload: guests.hello })
})

test('it gets the definition, of which nothing counts any more that it changes', async (t) => {
  const code = `export default (definition) => {
    definition.mode = 'real'
    return { routes: [{ port: definition.manager.port, to: 'count' }] }
  }`
  const given = await made(code, { mode: 'long', manager: { port: 7 } })
  t.like(given, { mode: 'long', routes: [{ port: 7, to: 'count' }] })
})

test('a module is loaded once, and called every time', async (t) => {
  const code = `let calls = 0
  export default () => ({ memoryBytes: ++calls * 4096 })`
  const first = made(code)
  const again = { payload: { guest: 'hello' }, module: `module-${count}.mjs` }
  t.is((await first).memoryBytes, 4096)
  t.is((await fromDefinition(again, { base: folder })).memoryBytes, 8192)
})

async function fails(t: ExecutionContext, code: string): Promise<VmError> {
  return (await t.throwsAsync(made(code), { instanceOf: VmError }))!
}

const failing: Record<string, string> = {
  'at its top': `throw new Error('mine')`,
  'when it is called': `export default () => { throw new Error('mine') }`,
  'by a rejection': `export default async () => { throw new Error('mine') }`,
}

for (const [when, code] of Object.entries(failing)) {
  test(`a module that fails ${when} is ERR_HANDLER with its error`, async (t) => {
    const { code: group, message, cause } = await fails(t, code)
    t.deepEqual([group, (cause as Error).message], ['ERR_HANDLER', 'mine'])
    t.true(message.startsWith(`module '${join(folder, 'module-')}`), message)
    t.true(message.endsWith(".mjs' failed: mine"), message)
  })
}

test('whatever a module throws is passed on', async (t) => {
  const { cause } = await fails(t, 'export default () => { throw undefined }')
  t.is(cause, undefined)
  const { message } = await fails(t, 'export default () => { throw Object.create(null) }')
  t.true(message.endsWith('failed: an object (no prototype)'), message)
  const syntax = await fails(t, 'export default (')
  t.deepEqual([syntax.code, syntax.cause instanceof Error], ['ERR_HANDLER', true])
})

test('a module without a function, or with no answer, is refused', async (t) => {
  for (const code of ['', 'export const a = 1', 'export default {}', 'export default 5']) {
    // An empty file is none.
    const { code: group, message } = await fails(t, code || '\n')
    t.is(group, 'ERR_INVALID_OPTION')
    t.true(message.endsWith('must have a function as its default export'), message)
  }
  for (const answer of ['undefined', 'null', '5', '[]', '() => 0']) {
    const { code: group, message } = await fails(t, `export default () => (${answer})`)
    t.is(group, 'ERR_INVALID_OPTION')
    t.regex(message, /^what module '.*' returns must be an object, got /)
  }
})

test('a module that is not there is an option with an errno', async (t) => {
  const definition = { payload: { guest: 'hello' }, module: './nothing.mjs' }
  const error = await t.throwsAsync(fromDefinition(definition, { base: folder }))
  t.like(error, { code: 'ERR_INVALID_OPTION', errno: 2, call: 'stat' })
  t.true(error.message.includes(join(folder, 'nothing.mjs')), error.message)
})

test('what it gives is checked where a machine is made of it', async (t) => {
  const given = await made(`export default () => JSON.parse('{"__proto__": {"pc": true}, "a": 1}')`)
  t.throws(() => new VirtualMachine(given), { message: /^options must be made of .*unknown/ })
  const routes = await made(`export default () => ({ routes: 5 })`)
  t.throws(() => new VirtualMachine(routes), { message: 'routes must be an array, got 5' })
})
