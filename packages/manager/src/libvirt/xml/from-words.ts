import type { JsonObject } from './patch.ts'
import { refuse, shown } from './document/refuse.ts'
import {
  all,
  attribute,
  element,
  first,
  only,
  textOf,
  wholeNumber,
  type XmlElement,
} from './document/tree.ts'

/** What a document says in libvirt's words. */
export interface Said {
  /** Its name. */
  readonly name: string
  /** Its UUID, if it has one. */
  readonly uuid: string | undefined
  /** The definition, without what the words do not say; a payload may be missing. */
  readonly definition: JsonObject
  /** A TCP port for VNC is asked for, and the document has no password for it. */
  readonly vnc: { readonly port: number; readonly isAsked: boolean } | undefined
}

/** Devices of one kind in a document; a definition has at most 15. */
const MAX_OF_A_KIND = 64

const memoryUnits: Readonly<Record<string, number>> = {
  b: 1,
  bytes: 1,
  KB: 1000,
  k: 1024,
  KiB: 1024,
  MB: 1000 ** 2,
  M: 1024 ** 2,
  MiB: 1024 ** 2,
  GB: 1000 ** 3,
  G: 1024 ** 3,
  GiB: 1024 ** 3,
  TB: 1000 ** 4,
  T: 1024 ** 4,
  TiB: 1024 ** 4,
}

/** Reads libvirt's words; what is unknown is passed over. */
export function said(domain: XmlElement): Said {
  const type = attribute(domain, 'type')
  if (type !== 'vmexit') refuse(`<domain> must have type='vmexit', got ${shown(type ?? '')}`)
  const name = textOf(only(domain, 'name')) ?? refuse('<name> is missing')
  const os = only(domain, 'os')
  const isPc = attribute(only(os, 'type'), 'machine') !== 'bare'
  const devices = only(domain, 'devices') ?? element('devices')
  const graphics = graphicsOf(devices)
  const restart = restartOf(domain)
  const vnc = graphics?.password === undefined ? undefined : vncOf(graphics.port, graphics.password)
  const manager = { ...(restart !== 'no' && { restart }), ...(vnc && { vnc }) }
  return {
    name: name.trim(),
    uuid: uuidOf(textOf(only(domain, 'uuid'))),
    vnc: vnc !== undefined || graphics?.isSocket === true ? undefined : graphics,
    definition: {
      name: name.trim(),
      memoryBytes: memoryOf(only(domain, 'memory')),
      vcpus: vcpusOf(only(domain, 'vcpu')),
      ...(isPc && { pc: true }),
      ...(!isPc && all(devices, 'serial').some(isFirstPort) && { serial: true }),
      ...payloadOf(os),
      ...devicesOf(devices, graphics !== undefined),
      ...(Object.keys(manager).length > 0 && { manager }),
    },
  }
}

/** libvirt reads one without hyphens, too. */
function uuidOf(text: string | undefined): string | undefined {
  const digits = text?.trim().toLowerCase()
  return digits?.replace(
    /^([\da-f]{8})([\da-f]{4})([\da-f]{4})([\da-f]{4})([\da-f]{12})$/,
    '$1-$2-$3-$4-$5',
  )
}

function memoryOf(memory: XmlElement | undefined): number {
  if (memory === undefined) return refuse('<memory> is missing')
  const unit = attribute(memory, 'unit') ?? 'KiB'
  const factor = Object.hasOwn(memoryUnits, unit) ? memoryUnits[unit] : undefined
  if (factor === undefined) return refuse(`<memory> has the unknown unit ${shown(unit)}`)
  const most = Math.floor(Number.MAX_SAFE_INTEGER / factor)
  const bytes = wholeNumber('<memory>', textOf(memory) ?? '', 1, most) * factor
  // A guest's memory has whole pages: as libvirt does, the next size that fits is taken.
  return Math.ceil(bytes / 4096) * 4096
}

function vcpusOf(vcpu: XmlElement | undefined): number {
  return vcpu === undefined ? 1 : wholeNumber('<vcpu>', textOf(vcpu) ?? '', 1, 4096)
}

function payloadOf(os: XmlElement | undefined): JsonObject {
  const word = (name: string): string | undefined => textOf(only(os, name))?.trim() || undefined
  const [kernel, loader] = [word('kernel'), word('loader')]
  if (kernel === undefined) {
    return loader === undefined ? {} : { payload: { file: loader, format: 'firmware' } }
  }
  const [initrd, cmdline] = [word('initrd'), word('cmdline')]
  return { payload: { file: kernel, ...(initrd && { initrd }), ...(cmdline && { cmdline }) } }
}

function restartOf(domain: XmlElement): string {
  if (textOf(only(domain, 'on_poweroff'))?.trim() === 'restart') return 'always'
  return textOf(only(domain, 'on_crash'))?.trim() === 'restart' ? 'on-failure' : 'no'
}

function devicesOf(devices: XmlElement, hasGraphics: boolean): JsonObject {
  const disks = byTarget(some(devices, 'disk').filter(isDisk)).map(diskOf)
  const network = some(devices, 'interface').map(cardOf)
  const ports = some(devices, 'channel')
    .filter(isPort)
    .map((one) => attribute(first(one, 'target'), 'name')!)
  const screen = screenOf(devices, hasGraphics)
  return {
    ...(disks.length > 0 && { disks }),
    ...(network.length > 0 && { network }),
    ...(ports.length > 0 && { ports }),
    ...(screen !== undefined && { screen }),
  }
}

/** Elements of a name, which are compared with each other: not thousands of them. */
function some(devices: XmlElement, name: string): XmlElement[] {
  const found = all(devices, name)
  return found.length <= MAX_OF_A_KIND
    ? found
    : refuse(`<devices> has at most ${MAX_OF_A_KIND} of <${name}>, this one ${found.length}`)
}

/** In the order that their targets ask for: vda comes before vdb, wherever it stands. */
function byTarget(disks: readonly XmlElement[]): XmlElement[] {
  const places = new Map<string, number>()
  const ranked = disks.map((disk) => {
    const name = attribute(only(disk, 'target'), 'dev') ?? ''
    const [, bus = '', letters = ''] = /^([a-z]?[hsv]d)([a-z]{1,4})$/.exec(name) ?? []
    if (!places.has(bus)) places.set(bus, places.size)
    return { disk, bus: places.get(bus)!, letters }
  })
  ranked.sort(
    (a, b) =>
      a.bus - b.bus ||
      a.letters.length - b.letters.length ||
      (a.letters < b.letters ? -1 : Number(a.letters > b.letters)),
  )
  return ranked.map(({ disk }) => disk)
}

/** Whether it is a disk; a drive without a medium is none. */
export function isDisk(disk: XmlElement): boolean {
  const isDrive = ['cdrom', 'floppy'].includes(attribute(disk, 'device') ?? 'disk')
  return !(isDrive && sourceOf(disk) === undefined)
}

/** The file or block device of a disk. */
export function sourceOf(disk: XmlElement): string | undefined {
  const source = only(disk, 'source')
  return attribute(source, 'file') ?? attribute(source, 'dev')
}

function diskOf(disk: XmlElement): JsonObject {
  const device = attribute(disk, 'device') ?? 'disk'
  if (device !== 'disk') refuse(`<disk> has device=${shown(device)}, vmexit has device='disk' only`)
  const type = attribute(disk, 'type') ?? 'file'
  if (!['file', 'block'].includes(type)) {
    refuse(`<disk> has type=${shown(type)}, vmexit has type='file' and type='block'`)
  }
  const format = attribute(only(disk, 'driver'), 'type') ?? 'raw'
  if (format !== 'raw') refuse(`a disk is of the format ${shown(format)}, vmexit has raw only`)
  const file = sourceOf(disk) ?? refuse('a <disk> needs <source> with file')
  return {
    file,
    ...(only(disk, 'readonly') && { readOnly: true }),
    ...(only(disk, 'transient') && { volatile: true }),
  }
}

function cardOf(card: XmlElement): JsonObject {
  const type = attribute(card, 'type') ?? ''
  const backend = attribute(only(card, 'backend'), 'type') ?? 'passt'
  if (type !== 'user' || backend !== 'passt') {
    refuse(
      `<interface> has type=${shown(type)}: vmexit has type='user' with <backend type='passt'/> only`,
    )
  }
  const mac = attribute(only(card, 'mac'), 'address')
  return { passt: true, ...(mac !== undefined && { mac }) }
}

/** Whether a channel is a console port. */
export function isPort(channel: XmlElement): boolean {
  const [type, target] = [attribute(channel, 'type') ?? '', first(channel, 'target')]
  const isBytes = ['unix', 'pty', 'null'].includes(type)
  return (
    isBytes && attribute(target, 'type') === 'virtio' && target?.attributes.has('name') === true
  )
}

/** Whether it is the serial port, of which there is one, or the console on it. */
export function isFirstPort(port: XmlElement): boolean {
  const target = first(port, 'target')
  const isSerial = (attribute(target, 'type') ?? 'serial').includes('serial')
  return isSerial && (attribute(target, 'port') ?? '0') === '0'
}

function screenOf(devices: XmlElement, hasGraphics: boolean): JsonObject | string | undefined {
  const model = first(first(devices, 'video'), 'model')
  if (attribute(model, 'type') === 'none') return undefined
  const size = first(model, 'resolution')
  if (size !== undefined) {
    const side = (name: string): number =>
      wholeNumber(`<resolution> ${name}`, attribute(size, name) ?? '', 1, 65_535)
    return { width: side('x'), height: side('y') }
  }
  return hasGraphics || first(devices, 'video') !== undefined ? 'text' : undefined
}

interface Graphics {
  /** Whether it is to listen on a Unix socket, and nowhere else. */
  readonly isSocket: boolean
  readonly port: number
  /** Whether a TCP port was named. */
  readonly isAsked: boolean
  readonly password: string | undefined
}

function graphicsOf(devices: XmlElement): Graphics | undefined {
  const [graphics, further] = all(devices, 'graphics')
  if (graphics === undefined) return undefined
  if (further !== undefined) refuse('a machine has one <graphics>')
  const type = attribute(graphics, 'type') ?? ''
  if (type !== 'vnc') refuse(`<graphics> has type=${shown(type)}, vmexit has type='vnc' only`)
  const listen = only(graphics, 'listen')
  const kind = attribute(listen, 'type')
  const password = attribute(graphics, 'passwd')
  if (kind === 'socket' || graphics.attributes.has('socket')) {
    return { isSocket: true, port: 0, isAsked: false, password: undefined }
  }
  checkLoopback(attribute(listen, 'address') ?? attribute(graphics, 'listen'))
  const port = portOf(graphics)
  return { isSocket: false, port, isAsked: port !== 0, password }
}

function portOf(graphics: XmlElement): number {
  const text = attribute(graphics, 'port') ?? '-1'
  if (attribute(graphics, 'autoport') === 'yes' || text.trim() === '-1') return 0
  return wholeNumber('<graphics> port', text, 0, 65_535)
}

function checkLoopback(address: string | undefined): void {
  if (address === undefined || ['127.0.0.1', 'localhost', ''].includes(address)) return
  refuse(`<graphics> listens on ${shown(address)}: vmexit listens on 127.0.0.1 only; use a tunnel`)
}

function vncOf(port: number, password: string): JsonObject {
  return { ...(port !== 0 && { port }), password }
}
