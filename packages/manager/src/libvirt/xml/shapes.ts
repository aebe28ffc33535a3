import { isDisk, isPort, isFirstPort, sourceOf } from './from-words.ts'
import { attribute, first, type XmlElement } from './document/tree.ts'

/** What of an element is said by the definition; everything else of it is kept as it came. */
export interface Shape {
  /** Attributes that are ours. */
  readonly attributes?: readonly string[]
  /** Children that are ours, by name. */
  readonly children?: Readonly<Record<string, Shape>>
  /** Whether an element of this name is ours; without it each one is. */
  readonly isOurs?: (one: XmlElement) => boolean
  /** What tells it from others of its name; without it, its place among them. */
  readonly key?: (one: XmlElement) => string | undefined
}

const text: Shape = {}

const device = { attributes: ['type'] }

const disk: Shape = {
  attributes: ['type', 'device'],
  isOurs: isDisk,
  key: sourceOf,
  children: {
    driver: device,
    source: { attributes: ['file', 'dev'] },
    target: { attributes: ['dev', 'bus'] },
    readonly: {},
    transient: {},
  },
}

const graphics: Shape = {
  attributes: ['type', 'port', 'autoport', 'listen', 'passwd', 'socket'],
  children: { listen: { attributes: ['type', 'address', 'socket'] } },
}

const devices: Shape = {
  children: {
    disk,
    interface: {
      ...device,
      key: (one) => attribute(first(one, 'mac'), 'address') ?? '',
      children: { mac: { attributes: ['address'] }, model: device, backend: device },
    },
    serial: { ...device, isOurs: isFirstPort, children: { target: { attributes: ['port'] } } },
    console: {
      ...device,
      isOurs: isFirstPort,
      children: { target: { attributes: ['type', 'port'] } },
    },
    channel: {
      ...device,
      isOurs: isPort,
      key: (one) => attribute(first(one, 'target'), 'name'),
      children: { target: { attributes: ['type', 'name'] } },
    },
    input: {
      attributes: ['type', 'bus'],
      isOurs: (one) => attribute(one, 'type') === 'keyboard',
    },
    graphics,
    video: {
      children: {
        model: {
          attributes: ['type'],
          children: { resolution: { attributes: ['x', 'y'] } },
        },
      },
    },
  },
}

/** The name of the element with what libvirt has no word for. */
export const definitionName = 'vmexit:definition'

/** `<domain>`. */
export const domainShape: Shape = {
  attributes: ['type', 'id'],
  children: {
    name: text,
    uuid: text,
    memory: { attributes: ['unit'] },
    currentMemory: { attributes: ['unit'] },
    vcpu: text,
    os: {
      children: {
        type: { attributes: ['arch', 'machine'] },
        kernel: text,
        initrd: text,
        cmdline: text,
        loader: text,
      },
    },
    on_poweroff: text,
    on_crash: text,
    devices,
    [definitionName]: { attributes: ['xmlns:vmexit'] },
  },
}
