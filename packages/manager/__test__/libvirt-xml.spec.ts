// <domain> and definition: what one says, the other says, and what is unknown stays.
import test from 'ava'

import type { ManagerError } from '../src/supervisor/errors.ts'
import { domainXml, readDomain, type Described } from '../src/libvirt/xml/domain.ts'
import { normalForm } from '../src/libvirt/xml/normal.ts'
import { MAX_CHARACTERS, MAX_DEPTH, MAX_ELEMENTS } from '../src/libvirt/xml/document/parse.ts'
import { difference, patched } from '../src/libvirt/xml/patch.ts'
import { readSnapshot } from '../src/libvirt/xml/snapshot.ts'
import { randomDefinition, randomOf } from './helpers/random-definition.ts'
import { samples } from './helpers/sample-domains.ts'

const uuid = '6f1a0c7e-1111-4222-8333-444455556666'
const nobody = (): undefined => undefined

function machineOf(definition: unknown, xml?: string): Described {
  return {
    name: 'm',
    uuid,
    definition: definition as Described['definition'],
    ...(xml !== undefined && { xml }),
  }
}

/** What a text defines, as the machine that is then there. */
function defined(text: string, before?: Described): Described {
  const { name, definition, xml } = readDomain(text, () => before)
  return { ...machineOf(definition, xml), name }
}

const refused = (code = 'ERR_INVALID_OPTION') => ({ name: 'ManagerError', code })

test('a definition as XML defines the same definition, whatever it is', (t) => {
  const random = randomOf(16)
  for (let count = 0; count < 2000; count++) {
    const machine = machineOf(randomDefinition(random))
    const text = domainXml(machine, { secure: true })
    const again = readDomain(text, nobody)
    t.deepEqual(
      normalForm('m', again.definition as unknown as Described['definition']),
      normalForm('m', machine.definition),
      text,
    )
    t.is(again.uuid, uuid)
    t.is(again.xml, '', 'nothing is unknown')
    t.is(domainXml(machineOf(again.definition, again.xml), { secure: true }), text)
  }
})

test('defining what dumpxml shows changes nothing, not even how a number is written', (t) => {
  const random = randomOf(17)
  for (let count = 0; count < 2000; count++) {
    const machine = machineOf(randomDefinition(random))
    const again = defined(domainXml(machine), machine)
    t.is(again.definition, machine.definition)
  }
})

for (const [title, sample] of Object.entries(samples)) {
  test(`${title}: dumpxml and define are the identity`, (t) => {
    const machine = defined(sample)
    const text = domainXml(machine)
    const again = defined(text, machine)
    t.is(again.definition, machine.definition)
    t.is(again.xml, machine.xml)
    t.is(domainXml(again), text)
  })
}

test('what is unknown stays at its place when the definition changes', (t) => {
  const machine = defined(samples['virt-manager']!)
  const definition = structuredClone(machine.definition)
  definition.vcpus = 3
  definition.disks!.reverse()
  const text = domainXml({ ...machine, definition })
  t.regex(text, /<vcpu placement='static'>3<\/vcpu>/)
  t.regex(text, /<title>A title<\/title>\n {2}<metadata>/)
  const [first, , second] = text.split('</disk>')
  t.regex(first!, /<driver name='qemu' type='raw' cache='none'\/>\n *<source file='\/srv\/b.img'/)
  t.regex(second!, /<source file='\/srv\/a.img'\/>[^]*<address type='pci' slot='0x04'\/>/)
  t.deepEqual(defined(text, machine).definition.disks, definition.disks)
})

test('elements that the definition has no longer are gone', (t) => {
  const machine = defined(samples['virt-manager']!)
  const definition = structuredClone(machine.definition)
  delete definition.disks
  delete definition.screen
  const text = domainXml({ ...machine, definition })
  t.notRegex(text, /device='disk'|<graphics|<video/)
  t.regex(text, /<sound model='ich9'/)
})

const vnc = {
  payload: { file: '/k' },
  pc: true,
  screen: 'text',
  manager: { vnc: { password: 'secret' } },
}

test('the password is shown when it is asked for, and kept when it is not said', (t) => {
  const machine = machineOf(vnc)
  t.regex(domainXml(machine, { secure: true }), /passwd='secret'/)
  const text = domainXml(machine)
  t.notRegex(text, /secret/)
  t.is(defined(text, machine).definition, machine.definition)
  const other = defined(text.replace(`port='-1' autoport='yes'`, `port='5907'`), machine)
  t.deepEqual(other.definition.manager, { vnc: { port: 5907, password: 'secret' } })
  const without = defined(text.replaceAll(/<listen.*?>/g, `<listen type='socket'/>`), machine)
  t.is(without.definition.manager, undefined)
})

test('what is kept beside the definition has no password', (t) => {
  const text = domainXml(machineOf(vnc), { secure: true })
  const { definition, xml } = readDomain(
    text.replace('<devices>', '<title>x</title><devices>'),
    nobody,
  )
  t.deepEqual(definition['manager'], { vnc: { password: 'secret' } })
  t.regex(xml, /<title>x/)
  t.notRegex(xml, /secret/)
  const hidden = machineOf({
    payload: { guest: 'hello' },
    manager: { vnc: { password: 'secret' } },
  })
  t.notRegex(domainXml(hidden), /secret/)
  t.is(defined(domainXml(hidden), hidden).definition, hidden.definition)
})

test('a TCP port for VNC without a password is refused', (t) => {
  const text = domainXml(machineOf(vnc)).replace(`port='-1' autoport='yes'`, `port='5901'`)
  t.throws(() => readDomain(text, nobody), { ...refused(), message: /passwd/ })
  const wide = text.replaceAll('127.0.0.1', '0.0.0.0')
  t.throws(() => readDomain(wide, nobody), { ...refused(), message: /127\.0\.0\.1 only/ })
})

test('a machine that runs says where its screen is', (t) => {
  const pc = { payload: { file: '/k' }, pc: true, screen: 'text' }
  const live = domainXml(machineOf(pc), { live: { id: 7, screen: '/run/screen.sock' } })
  t.regex(live, /^<domain type='vmexit' id='7'>/)
  t.regex(live, /<listen type='socket' socket='\/run\/screen.sock'\/>/)
  t.is(readDomain(live, nobody).xml, '')
  const tcp = domainXml(machineOf(vnc), { live: { id: 7, screen: '/s', vncPort: 5903 } })
  t.regex(tcp, /<graphics type='vnc' port='5903' autoport='yes' listen='127.0.0.1'>/)
})

const document = (inside: string, attributes = ''): string =>
  `<domain type='vmexit'${attributes}><name>m</name><memory>4096</memory>${inside}</domain>`
const os = '<os><type>hvm</type><kernel>/k</kernel></os>'

const wrong: Record<string, readonly [string, RegExp]> = {
  'an empty text': ['', /./],
  'no XML': ['MZ\u0090\u0003', /./],
  'a tag that is not closed': ['<domain><name>x</nam></domain>', /closing tag/i],
  'two roots': [`${document(os)}${document(os)}`, /root/],
  'another root': ['<network/>', /<domain>/],
  'another type': [document(os).replace('vmexit', 'kvm'), /type='vmexit'/],
  'a declaration of entities': [`<!DOCTYPE d [<!ENTITY a "b">]>${document(os)}`, /entities/],
  'an entity that nobody declared': [document(`${os}<title>&lol;</title>`), /&lol;/],
  'a number of a character that is none': [document(`${os}<title>&#0;</title>`), /&#0;/],
  'a reserved name': [document(`${os}<__proto__><a/></__proto__>`), /__proto__/],
  'an attribute twice': [document(os, ` id='1' id='2'`), /repeated|twice|id/],
  'elements in each other without end': [
    document(`${os}${'<a>'.repeat(MAX_DEPTH)}${'</a>'.repeat(MAX_DEPTH)}`),
    /./,
  ],
  'elements without end': [document(os + '<a/>'.repeat(MAX_ELEMENTS)), /elements/],
  'characters without end': [
    document(`${os}<title>${'x'.repeat(MAX_CHARACTERS)}</title>`),
    /characters/,
  ],
  'no kernel': [document(''), /<kernel>/],
  'no memory': ["<domain type='vmexit'><name>m</name></domain>", /<memory>/],
  'memory in yards': [document(os).replace('<memory>', "<memory unit='yd'>"), /yd/],
  'memory without end': [document(os).replace('4096', '9'.repeat(16)), /<memory>/],
  'a name twice': [document(`${os}<name>n</name>`), /more than once/],
  'a disk of a format': [
    document(
      `${os}<devices><disk type='file'><driver type='qcow2'/><source file='/a'/></disk></devices>`,
    ),
    /qcow2/,
  ],
  'a CD': [
    document(`${os}<devices><disk type='file' device='cdrom'><source file='/a'/></disk></devices>`),
    /cdrom/,
  ],
  'a bridge': [document(`${os}<devices><interface type='bridge'/></devices>`), /bridge/],
  'a screen by SPICE': [document(`${os}<devices><graphics type='spice'/></devices>`), /spice/],
  'JSON that is none': [document(`${os}<vmexit:definition>{</vmexit:definition>`), /no JSON/],
  'JSON that is no object': [document(`${os}<vmexit:definition>[]</vmexit:definition>`), /object/],
  'a string of JSON without an end': [
    document(`${os}<vmexit:definition>${'"\\'.repeat(1.2e5)}</vmexit:definition>`),
    /no JSON/,
  ],
  'disks without end': [
    document(`${os}<devices>${`<disk type='file'/>`.repeat(4000)}</devices>`),
    /at most 64 of <disk>/,
  ],
  'JSON in itself without end': [
    document(`${os}<vmexit:definition>{"a":${'['.repeat(9e4)}</vmexit:definition>`),
    /beyond 32/,
  ],
}

for (const [title, [text, message]] of Object.entries(wrong)) {
  test(`${title} is refused with a reason, and soon`, (t) => {
    const began = performance.now()
    const error = t.throws(() => readDomain(text, nobody)) as ManagerError
    t.is(error.code, 'ERR_INVALID_OPTION', error.stack)
    t.regex(error.message, message)
    t.true(
      performance.now() - began < 10_000,
      'its time grows with its length, not with the square',
    )
  })
}

test('broken documents are refused, and nothing else happens', (t) => {
  const random = randomOf(18)
  const texts = [...Object.values(samples), domainXml(machineOf(randomDefinition(random)))]
  const tokens = ['<', '>', '</', '/>', '&', "'", '"', '<a', '<![CDATA[', ']]>', '<!--', '<?', '\0']
  for (let count = 0; count < 3000; count++) {
    let text = texts[count % texts.length]!
    for (let change = 0; change < 3; change++) {
      const at = Math.floor(random() * text.length)
      const token = tokens[Math.floor(random() * tokens.length)]!
      text = text.slice(0, at) + token + text.slice(at + Math.floor(random() * 20))
    }
    try {
      readDomain(text, nobody)
    } catch (error) {
      if ((error as ManagerError).code !== 'ERR_INVALID_OPTION') throw error
    }
  }
  t.pass()
})

test('what a document defines has units, white space and CDATA as libvirt has them', (t) => {
  const definition = (memory: string): unknown =>
    readDomain(document(os).replace('<memory>4096</memory>', memory), nobody).definition[
      'memoryBytes'
    ]
  t.is(definition('<memory>1024</memory>'), 2 ** 20)
  t.is(definition(`<memory unit='MiB'> 16 </memory>`), 2 ** 24)
  t.is(definition(`<memory unit='b'>4097</memory>`), 8192)
  const text = document(`<os><kernel>\n /k\n</kernel><cmdline><![CDATA[a < b & c]]></cmdline></os>`)
  t.deepEqual(readDomain(text, nobody).definition['payload'], { file: '/k', cmdline: 'a < b & c' })
})

test('JSON beside the words adds, changes and removes', (t) => {
  const patch = `{"pc":null,"vcpus":2,"payload":{"format":"elf"}}`
  const text = document(`${os}<vmexit:definition>${patch}</vmexit:definition>`)
  t.deepEqual(readDomain(text, nobody).definition, {
    name: 'm',
    memoryBytes: 2 ** 22,
    vcpus: 2,
    payload: { file: '/k', format: 'elf' },
  })
  const [from, to] = [
    { a: 1, b: { c: [1], d: 2 } },
    { b: { c: [2] }, e: {} },
  ]
  t.deepEqual(difference(from, to), { a: null, b: { c: [2], d: null }, e: {} })
  t.deepEqual(patched(from, difference(from, to)!), to)
  t.is(difference(to, structuredClone(to)), undefined)
})

test('a snapshot is asked for by name, or without one', (t) => {
  t.deepEqual(readSnapshot('<domainsnapshot/>'), { name: undefined, description: undefined })
  const text = '<domainsnapshot><name>a</name><description>b &lt; c</description></domainsnapshot>'
  t.deepEqual(readSnapshot(text), { name: 'a', description: 'b < c' })
})

test('disks come in the order of their targets, wherever they stand', (t) => {
  const disk = (dev: string): string =>
    `<disk type='file'><driver cache='${dev}'/><source file='/${dev}'/><target dev='${dev}'/></disk>`
  const order = (...names: string[]): unknown => {
    const text = document(`${os}<devices>${names.map(disk).join('')}</devices>`)
    const machine = defined(text)
    // What was said of each stays with it, and the document says the same again.
    const again = domainXml(machine)
    for (const name of names)
      t.regex(again, new RegExp(`cache='${name}' type='raw'/>\\s*<source file='/${name}'`))
    t.is(defined(again, machine).definition, machine.definition)
    return machine.definition.disks
  }
  const files = (...names: string[]) => names.map((name) => ({ file: `/${name}` }))
  t.deepEqual(order('vdb', 'vda'), files('vda', 'vdb'))
  t.deepEqual(order('vdc', 'vdaa', 'vda', 'vdb'), files('vda', 'vdb', 'vdc', 'vdaa'))
  t.deepEqual(order('sdb', 'vda', 'sda'), files('sda', 'sdb', 'vda'))
  t.deepEqual(order('other', 'vdb', 'xvda', 'vda'), files('other', 'vda', 'vdb', 'xvda'))
})

test('a UUID may have no hyphens, and an empty document says that it is', (t) => {
  const plain = `<uuid> ${uuid.replaceAll('-', '').toUpperCase()} </uuid>`
  t.is(readDomain(document(os + plain), nobody).uuid, uuid)
  t.throws(() => readDomain(' \n', nobody), { ...refused(), message: 'XML: the document is empty' })
})
