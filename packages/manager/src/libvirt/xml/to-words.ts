import { isSayable } from './document/characters.ts'
import { isObject, type Json, type JsonObject } from './patch.ts'
import { element, type XmlElement } from './document/tree.ts'

/** What a definition in its normal form says in libvirt's own words. */
export function words(uuid: string | undefined, normal: JsonObject): XmlElement {
  const memoryBytes = Number(normal['memoryBytes'])
  const inKib = memoryBytes % 1024 === 0
  const memory = { unit: inKib ? 'KiB' : 'b' }
  const size = String(inKib ? memoryBytes / 1024 : memoryBytes)
  return element(
    'domain',
    { type: 'vmexit' },
    element('name', {}, String(normal['name'])),
    uuid === undefined ? undefined : element('uuid', {}, uuid),
    element('memory', memory, size),
    element('currentMemory', memory, size),
    element('vcpu', {}, String(normal['vcpus'])),
    os(normal),
    ...endings(normal),
    devices(normal),
  )
}

function os(normal: JsonObject): XmlElement {
  const payload = objectIn(normal, 'payload')
  const isFirmware = payload['format'] === 'firmware'
  const cmdline = payload['cmdline'] === '' ? undefined : payload['cmdline']
  return element(
    'os',
    {},
    element('type', { arch: 'x86_64', machine: normal['pc'] === true ? 'pc' : 'bare' }, 'hvm'),
    ...(isFirmware
      ? [said('loader', payload['file'])]
      : [
          said('kernel', payload['file']),
          said('initrd', payload['initrd']),
          said('cmdline', cmdline),
        ]),
  )
}

function said(name: string, text: Json | undefined): XmlElement | undefined {
  return isText(text) ? element(name, {}, text) : undefined
}

/** Text that an element can have; white space at its ends would be lost with people's editors. */
function isText(value: Json | undefined): value is string {
  return typeof value === 'string' && value !== '' && isSayable(value) && value.trim() === value
}

function endings(normal: JsonObject): XmlElement[] {
  const { restart } = objectIn(normal, 'manager')
  const [powerOff, crash] =
    restart === 'always'
      ? ['restart', 'restart']
      : ['destroy', restart === 'on-failure' ? 'restart' : 'destroy']
  return [element('on_poweroff', {}, powerOff), element('on_crash', {}, crash)]
}

function devices(normal: JsonObject): XmlElement {
  const isPc = normal['pc'] === true
  const hasSerial = normal['serial'] ?? isPc
  const port = { port: 0 }
  const console = element('target', { type: 'serial', ...port })
  return element(
    'devices',
    {},
    ...disks(normal['disks']),
    ...list(normal['network']).map(card),
    hasSerial === true ? element('serial', { type: 'pty' }, element('target', port)) : undefined,
    element('console', { type: 'pty' }, console),
    ...list(normal['ports']).map(channel),
    isPc ? element('input', { type: 'keyboard', bus: 'ps2' }) : undefined,
    ...screen(normal),
  )
}

/** All, or none where one of them is more than words can say. */
function disks(value: Json | undefined): XmlElement[] {
  const given = list(value)
  return given.every((disk) => isObject(disk) && isText(disk['file']))
    ? given.map((disk, index) => diskElement(disk as JsonObject, index))
    : []
}

function diskElement(disk: JsonObject, index: number): XmlElement {
  const file = String(disk['file'])
  const isBlock = isDevice(file)
  return element(
    'disk',
    { type: isBlock ? 'block' : 'file', device: 'disk' },
    element('driver', { type: 'raw' }),
    element('source', isBlock ? { dev: file } : { file }),
    element('target', { dev: `vd${String.fromCharCode(0x61 + index)}`, bus: 'virtio' }),
    disk['readOnly'] === true ? element('readonly') : undefined,
    disk['volatile'] === true ? element('transient') : undefined,
  )
}

/** Whether a path is one of a device; /dev/shm has files. */
function isDevice(file: string): boolean {
  return /^\/dev\/(?!shm\/)/.test(file)
}

function card(value: Json): XmlElement {
  const mac = isObject(value) ? value['mac'] : undefined
  return element(
    'interface',
    { type: 'user' },
    typeof mac === 'string' ? element('mac', { address: mac }) : undefined,
    element('model', { type: 'virtio' }),
    element('backend', { type: 'passt' }),
  )
}

function channel(name: Json): XmlElement {
  return element(
    'channel',
    { type: 'unix' },
    element('target', { type: 'virtio', name: String(name) }),
  )
}

function screen(normal: JsonObject): XmlElement[] {
  const { screen: shown } = normal
  if (shown === undefined) return []
  const size = isObject(shown)
    ? element('resolution', { x: Number(shown['width']), y: Number(shown['height']) })
    : undefined
  return [graphics(normal), element('video', {}, element('model', { type: 'vga' }, size))]
}

function graphics(normal: JsonObject): XmlElement {
  const { vnc } = objectIn(normal, 'manager')
  if (!isObject(vnc)) {
    return element('graphics', { type: 'vnc' }, element('listen', { type: 'socket' }))
  }
  const port = Number(vnc['port'] ?? 0)
  const address = '127.0.0.1'
  const passwd = String(vnc['password'])
  return element(
    'graphics',
    {
      type: 'vnc',
      port: port === 0 ? -1 : port,
      autoport: port === 0 ? 'yes' : 'no',
      listen: address,
      passwd: isSayable(passwd) ? passwd : undefined,
    },
    element('listen', { type: 'address', address }),
  )
}

function objectIn(of: JsonObject, key: string): JsonObject {
  const value = of[key]
  return isObject(value) ? value : {}
}

function list(value: Json | undefined): Json[] {
  return Array.isArray(value) ? value : []
}
