// The table of procedures against the protocol's own description.
import test, { type ExecutionContext } from 'ava'

import { rows } from '../src/libvirt/table.ts'
import { messages } from '../src/libvirt/xdr/events.ts'
import { procedures } from '../src/libvirt/xdr/procedures.ts'
import type { Layout } from '../src/libvirt/xdr/shapes.ts'
import { failure } from '../src/libvirt/xdr/types.ts'
import { protocolFiles } from './helpers/libvirt-source.ts'
import { readProtocol, type Described } from './helpers/protocol-x.ts'

const files = await protocolFiles()

/** A test that needs the description. */
function protocolTest(
  title: string,
  run: (t: ExecutionContext, remote: Described, net: Described) => void,
): void {
  if (!('reason' in files)) {
    const [remote, net] = [readProtocol(files.remote), readProtocol(files.net)]
    return test(title, (t) => run(t, remote, net))
  }
  const { reason } = files
  if (process.env['VMEXIT_REQUIRE_CLIENTS'] === '1') return test(title, (t) => t.fail(reason))
  test.skip(`${title}: ${reason}`, (t) => t.pass())
}

const NOTHING: Layout = { kind: 'void' }

/** How our bytes differ from the protocol's, in words; bounds may be narrower. */
function difference(ours: Layout, theirs: Layout, at = ''): string[] {
  if (ours.kind !== theirs.kind) return [`${at}: ${ours.kind}, and not ${theirs.kind}`]
  switch (ours.kind) {
    case 'string':
      return tooWide(ours, theirs as typeof ours, at)
    case 'opaque':
      return tooWide(ours, theirs as typeof ours, at)
    case 'array': {
      const other = theirs as typeof ours
      return [...tooWide(ours, other, at), ...difference(ours.of, other.of, `${at}[]`)]
    }
    case 'optional':
      return difference(ours.of, (theirs as typeof ours).of, `${at}?`)
    case 'struct':
      return members(ours.fields, (theirs as typeof ours).fields, at)
    case 'union':
      return members(ours.arms, (theirs as typeof ours).arms, at)
    default:
      return []
  }
}

type Bound = { readonly length?: number; readonly max?: number }

function tooWide(ours: Bound, theirs: Bound, at: string): string[] {
  if (ours.length !== theirs.length) return [`${at}: length ${ours.length}, not ${theirs.length}`]
  if ((ours.max ?? 0) <= (theirs.max ?? 0)) return []
  return [`${at}: at most ${ours.max}, more than ${theirs.max}`]
}

type Members = readonly (readonly [string | number, Layout])[]

function members(ours: Members, theirs: Members, at: string): string[] {
  const [mine, yours] = [ours, theirs].map((all) => all.map(([name]) => name).join(' '))
  if (mine !== yours) return [`${at}: ${mine}, and not ${yours}`]
  return ours.flatMap(([name, layout], index) =>
    difference(layout, (theirs[index] as Members[number])[1], `${at}.${name}`),
  )
}

/** Who may call, by what the description asks for; conditions on flags are the handlers'. */
function accessOf(words: readonly string[]): 'read' | 'write' {
  const plain = words.filter((word) => word.split(':').length < 3)
  const isRead = plain.every((word) => /^none$|:(getattr|read|search_\w+)$/.test(word))
  return isRead ? 'read' : 'write'
}

protocolTest('each procedure has the number, arguments and result of the protocol', (t, remote) => {
  for (const { name, number, arguments: args, result } of Object.values(procedures)) {
    t.is(remote.procedures.get(name), number, name)
    const lower = `remote_${name.toLowerCase()}`
    const theirs = [`${lower}_args`, `${lower}_ret`].map((type) => remote.layout(type) ?? NOTHING)
    t.deepEqual(difference(args.layout, theirs[0] as Layout, `${name} arguments`), [])
    t.deepEqual(difference(result.layout, theirs[1] as Layout, `${name} result`), [])
  }
  t.true(Object.keys(procedures).length > 100)
})

protocolTest('each message has the number and the body of the protocol', (t, remote) => {
  for (const { name, number, body } of Object.values(messages)) {
    t.is(remote.procedures.get(name), number, name)
    const theirs = remote.layout(`remote_${name.toLowerCase()}_msg`) ?? NOTHING
    t.deepEqual(difference(body.layout, theirs, name), [])
  }
})

protocolTest('an error has the fields of the protocol', (t, _remote, net) => {
  t.deepEqual(difference(failure.layout, net.layout('virNetMessageError') ?? NOTHING), [])
})

protocolTest('what changes something is not for a connection that only reads', (t, remote) => {
  for (const { name, access } of Object.values(procedures)) {
    if (access === 'always') continue
    t.is(access, accessOf(remote.access.get(name) ?? []), name)
  }
})

test('a table that differs is noticed', (t) => {
  const text: Layout = { kind: 'string', max: 8 }
  const pair = (first: string, second: Layout): Layout => ({
    kind: 'struct',
    fields: [
      [first, text],
      ['b', second],
    ],
  })
  const uint: Layout = { kind: 'uint' }
  t.deepEqual(difference(pair('a', uint), pair('a', uint)), [])
  t.is(difference(pair('a', { kind: 'int' }), pair('a', uint)).length, 1)
  t.is(difference(pair('c', uint), pair('a', uint)).length, 1)
  t.is(difference(pair('a', { kind: 'string', max: 9 }), pair('a', text)).length, 1)
  t.is(difference(pair('a', { kind: 'string', max: 7 }), pair('a', text)).length, 0)
  const optional: Layout = { kind: 'optional', of: uint }
  t.is(difference(pair('a', optional), pair('a', uint)).length, 1)
  const [two, three] = [2, 3].map((max): Layout => ({ kind: 'array', of: uint, max }))
  t.is(difference(pair('a', three as Layout), pair('a', two as Layout)).length, 1)
})

test('no procedure has two rows, and each row is one of the protocol', (t) => {
  const numbers = rows.map(({ number }) => number)
  t.is(new Set(numbers).size, numbers.length)
  const known = new Set(Object.values(procedures).map(({ number }) => number))
  t.deepEqual(
    numbers.filter((number) => !known.has(number)),
    [],
  )
})
