// The HTTP API of a real daemon, whose machines run on the real KVM, does what its document says.
import { once } from 'node:events'

import { Ajv2020 } from 'ajv/dist/2020.js'
import type { ExecutionContext } from 'ava'

import { until } from '../../../__test__/fixtures/until.ts'
import { kvmTest } from '../../../__test__/helpers/kvm.ts'
import { rejects } from './helpers/errors.ts'
import { type Answer, HttpDaemon, echoing } from './helpers/http-daemon.ts'

type Document = any

/** Checks answers by the document that the daemon itself gives out. */
class Checker {
  readonly document: Document
  readonly #ajv = new Ajv2020({ strict: false, allErrors: true })
  /** The operations that were answered. */
  readonly seen = new Set<string>()

  constructor(document: Document) {
    this.document = document
    this.#ajv.addSchema(document, 'api')
  }

  /** The path of the document and its operation. */
  #find(method: string, path: string): [string, any] {
    const segments = path.split('?')[0]!.split('/')
    const fits = (known: string): boolean => {
      const words = known.split('/')
      return (
        words.length === segments.length &&
        words.every((word, at) => word.startsWith('{') || word === segments[at])
      )
    }
    const found = Object.keys(this.document.paths).find(fits)!
    return [found, this.document.paths[found][method.toLowerCase()]]
  }

  /** Asserts that an answer is one that the document knows. */
  check(t: ExecutionContext, method: string, path: string, answer: Answer): void {
    const [known, operation] = this.#find(method, path)
    const described = operation.responses[answer.status]
    t.truthy(described, `${method} ${path}: ${answer.status} ${answer.body.toString()}`)
    if (answer.status < 300) this.seen.add(operation.operationId)
    const [type] = Object.keys(described.content ?? {})
    if (type === undefined) {
      t.is(answer.body.length, 0)
      return
    }
    t.is(String(answer.headers['content-type']), type)
    if (type !== 'application/json') return
    const at = [known, method.toLowerCase(), 'responses', answer.status, 'content', type, 'schema']
    const pointer = at.map((it) => String(it).replaceAll('~', '~0').replaceAll('/', '~1')).join('/')
    const validate = this.#ajv.getSchema(`api#/paths/${encodeURI(pointer)}`)!
    t.true(validate(JSON.parse(answer.body.toString())), JSON.stringify(validate.errors))
  }
}

/** All that can be asked, in an order in which each can be done. */
const steps = (definition: object): [method: string, path: string, body?: unknown][] => [
  ['GET', '/v1/version'],
  ['GET', '/v1/openapi.json'],
  ['POST', '/v1/web-token'],
  ['POST', '/v1/machines', { definition }],
  ['PUT', '/v1/machines/m', { definition }],
  ['PUT', '/v1/machines/m/autostart', { autostart: false }],
  ['GET', '/v1/machines'],
  ['GET', '/v1/machines/m'],
  ['POST', '/v1/machines/m/start', { paused: true }],
  ['POST', '/v1/machines/m/resume'],
  ['POST', '/v1/machines/m/pause'],
  ['GET', '/v1/machines/m/stats'],
  ['GET', '/v1/machines/m/log?bytes=10'],
  ['GET', '/v1/machines/m/screen.png'],
  ['GET', '/v1/machines/m/memory?gpa=4096&bytes=16'],
  ['GET', '/v1/machines/m/sockets'],
  ['POST', '/v1/machines/m/snapshots', { name: 's', description: 'why' }],
  ['GET', '/v1/machines/m/snapshots'],
  ['POST', '/v1/machines/m/snapshots/s/restore'],
  ['POST', '/v1/machines/m/resume'],
  ['POST', '/v1/machines/m/keys', { codes: ['KeyA'], holdMs: 1 }],
  ['DELETE', '/v1/machines/m/snapshots/s'],
  ['POST', '/v1/machines/m/reset'],
  ['POST', '/v1/machines/m/save'],
  ['DELETE', '/v1/machines/m/saved'],
  ['POST', '/v1/machines/m/start'],
  ['POST', '/v1/machines/m/nmi'],
  ['POST', '/v1/machines/m/kill'],
  ['POST', '/v1/machines/m/start'],
  ['POST', '/v1/machines/m/power-button'],
  ['POST', '/v1/machines/m/stop', { timeoutMs: 0 }],
  ['DELETE', '/v1/machines/m'],
]

/** What is not answered by one body. */
const streams = [
  'attachSerial',
  'attachScreen',
  'listenForEvents',
  'listenForStats',
  'listenForAll',
]

kvmTest('every operation of the document answers as the document says', async (t) => {
  const daemon = await HttpDaemon.start(t, '0')
  const document = JSON.parse((await daemon.ask({ path: '/v1/openapi.json' })).body.toString())
  const checker = new Checker(document)
  for (const [method, path, body] of steps(echoing(daemon, 'm'))) {
    const answer = await daemon.ask({ method, path, body })
    checker.check(t, method, path, answer)
    const isLate = path.endsWith('/stop') && answer.status === 409
    t.true(answer.status < 300 || isLate, `${method} ${path}: ${answer.body.toString()}`)
    if (method !== 'GET') continue
    const head = await daemon.ask({ method: 'HEAD', path })
    t.deepEqual([head.status, head.body.length], [200, 0])
  }
  const all = Object.values<Document>(document.paths).flatMap((path) =>
    Object.values<Document>(path).map(({ operationId }) => operationId),
  )
  const missing = all.filter((id) => !checker.seen.has(id) && !streams.includes(id))
  t.deepEqual(
    missing,
    ['stopMachine'].filter((id) => !checker.seen.has(id)),
  )
})

kvmTest('what the document does not have is 404, or 405 with what there is', async (t) => {
  const daemon = await HttpDaemon.start(t)
  const document = JSON.parse((await daemon.ask({ path: '/v1/openapi.json' })).body.toString())
  for (const [known, operations] of Object.entries<Document>(document.paths)) {
    const path = known.replace('{name}', 'none').replace('{snapshot}', 'none')
    for (const method of ['GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS']) {
      if (method.toLowerCase() in operations) continue
      const { status, headers, body } = await daemon.ask({ method, path })
      t.is(status, 405, `${method} ${path}`)
      const allowed = String(headers.allow).toLowerCase().split(', ')
      t.deepEqual(
        allowed.filter((it) => it !== 'head'),
        Object.keys(operations).toSorted((a, b) => methods.indexOf(a) - methods.indexOf(b)),
      )
      t.is(JSON.parse(body.toString()).error.code, 'ERR_NOT_SUPPORTED')
    }
    const { status } = await daemon.ask({ path: `${path}/more` })
    t.true([404, 405].includes(status), path)
  }
  for (const path of ['/', '/v1', '/v2/machines', '/v1/machines/', '/v1/machines/a/b/c'])
    t.is((await daemon.ask({ path })).status, 404, path)
})

const methods = ['get', 'post', 'put', 'delete']

kvmTest('wrong requests are errors whose codes say which', async (t) => {
  const daemon = await HttpDaemon.start(t)
  const checker = new Checker(
    JSON.parse((await daemon.ask({ path: '/v1/openapi.json' })).body.toString()),
  )
  const define = (body: unknown) => ['POST', '/v1/machines', body] as const
  const definition = echoing(daemon, 'm')
  t.is(
    (await daemon.ask({ method: 'POST', path: '/v1/machines', body: { definition } })).status,
    200,
  )
  const absent = { ...echoing(daemon, 'absent'), payload: { file: '/nowhere/kernel' } }
  const asked = { method: 'POST', path: '/v1/machines', body: { definition: absent } }
  t.is((await daemon.ask(asked)).status, 200)
  const wrong: readonly (readonly [string, string, unknown, number, string])[] = [
    ['POST', '/v1/machines/absent/start', undefined, 500, 'ERR_MACHINE'],
    ['GET', '/v1/machines/none', undefined, 404, 'ERR_NOT_FOUND'],
    ['POST', '/v1/machines/none/start', undefined, 404, 'ERR_NOT_FOUND'],
    ['POST', '/v1/machines/m/pause', undefined, 409, 'ERR_STATE'],
    ['POST', '/v1/machines/m/snapshots/s/restore', undefined, 404, 'ERR_NOT_FOUND'],
    ['GET', '/v1/machines/m/memory', undefined, 400, 'ERR_INVALID_OPTION'],
    ['GET', '/v1/machines/m/memory?gpa=0&bytes=70000', undefined, 400, 'ERR_INVALID_OPTION'],
    ['GET', '/v1/machines/m/memory?gpa=0&gpa=1&bytes=1', undefined, 400, 'ERR_INVALID_OPTION'],
    ['GET', '/v1/machines?all=1', undefined, 400, 'ERR_INVALID_OPTION'],
    ['GET', '/v1/machines/%2e%2e', undefined, 404, 'ERR_NOT_FOUND'],
    ['GET', '/v1/machines/a%2fb', undefined, 400, 'ERR_INVALID_OPTION'],
    ['GET', '/v1/machines/%', undefined, 400, 'ERR_INVALID_OPTION'],
    ['PUT', '/v1/machines/other', { definition }, 400, 'ERR_INVALID_OPTION'],
    [...define(undefined), 400, 'ERR_INVALID_OPTION'],
    [...define([]), 400, 'ERR_INVALID_OPTION'],
    [...define({ definition: 5 }), 400, 'ERR_INVALID_OPTION'],
    [...define({ definition, base: 'relative' }), 400, 'ERR_INVALID_OPTION'],
    [...define({ definition, from: 'local' }), 400, 'ERR_INVALID_OPTION'],
    [...define({ definition: { name: 'm' } }), 400, 'ERR_INVALID_OPTION'],
    ['POST', '/v1/machines/m/start', { paused: 1 }, 400, 'ERR_INVALID_OPTION'],
    ['POST', '/v1/machines/m/stop', { timeoutMs: -1 }, 400, 'ERR_INVALID_OPTION'],
    ['POST', '/v1/machines/m/kill', { now: true }, 400, 'ERR_INVALID_OPTION'],
  ]
  for (const [method, path, body, status, code] of wrong) {
    const answer = await daemon.ask({ method, path, body })
    const name = `${method} ${path} ${JSON.stringify(body)}`
    t.is(answer.status, status, name)
    t.is(JSON.parse(answer.body.toString()).error.code, code, name)
    if (status !== 404) checker.check(t, method, path, answer)
  }
  const plain = { 'content-type': 'text/plain' }
  const typed = { method: 'POST', path: '/v1/machines', body: {}, headers: plain }
  t.is((await daemon.ask(typed)).status, 415)
})

kvmTest('the client has a method for each thing that a machine can do', async (t) => {
  const daemon = await HttpDaemon.start(t)
  const { client } = daemon
  t.teardown(() => client.close())
  const { lastSeq } = await client.version()
  const events = client.events({ since: lastSeq })
  const types: string[] = []
  const reach = async (type: string): Promise<void> => {
    for (let last = ''; last !== type;) {
      const { value } = await events.next()
      last = value.type
      types.push(last)
    }
  }
  t.is((await client.define(echoing(daemon, 'm'))).state, 'defined')
  t.is((await client.start('m')).state, 'running')
  await reach('running')
  const console = await client.console('m')
  console.write('typed')
  let heard = ''
  for await (const chunk of console) if ((heard += chunk).includes('typed')) break
  t.is(heard, '>typed')
  // What a console shows is kept a moment later.
  let kept = ''
  const look = async (): Promise<string> => (kept = Buffer.from(await client.log('m')).toString())
  t.true(await until(() => kept === heard, 300_000, look))
  const screen = await client.screen('m')
  const [version] = await once(screen, 'data')
  t.is(version.toString(), 'RFB 003.008\n')
  t.deepEqual((await client.screenshot('m')).subarray(1, 4), Buffer.from('PNG'))
  t.is((await client.memory('m', 4096, 100)).length, 100)
  t.true((await client.stats('m')).exits > 0)
  t.regex((await client.sockets('m')).serial, /serial\.sock$/)
  t.is((await client.pause('m')).state, 'paused')
  t.is((await client.saveSnapshot('m', 's', { description: 'd' })).description, 'd')
  t.deepEqual(
    (await client.snapshots('m')).map(({ name }) => name),
    ['s'],
  )
  t.is((await client.resume('m')).state, 'running')
  await client.restoreSnapshot('m', 's')
  await client.removeSnapshot('m', 's')
  t.true((await client.setAutostart('m', true)).autostart)
  await client.kill('m')
  await reach('ended')
  const error = await rejects(t, 'ERR_STATE', () => client.pause('m'))
  t.is(error.name, 'ManagerError')
  await client.undefine('m')
  await reach('undefined')
  t.deepEqual(await client.list(), [])
  await rejects(t, 'ERR_NOT_FOUND', () => client.find('m'))
  await rejects(t, 'ERR_NOT_FOUND', () => client.console('m'))
  await events.return(undefined)
  await client.close()
  t.true(await daemon.isIdle())
  t.deepEqual(types.slice(0, 3), ['defined', 'starting', 'running'])
})
