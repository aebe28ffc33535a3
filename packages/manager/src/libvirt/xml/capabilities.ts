import { element, type XmlElement } from './document/tree.ts'
import { writeXml } from './document/write.ts'

/** What is known of the host. */
export interface Host {
  /** The host's UUID. */
  readonly uuid: string
  /** The processor's model. */
  readonly model: string
  /** Logical processors. */
  readonly cpus: number
  /** Memory in KiB. */
  readonly memoryKib: number
}

/** vCPUs of a machine at most. */
export const MAX_VCPUS = 64

/** `<os><type machine>`: with the devices of a PC, or without any. */
export const machines = ['pc', 'bare'] as const

/** `<capabilities>`: it says little, since clients offer whatever stands here. */
export function capabilitiesXml(host: Host): string {
  const memory = element('memory', { unit: 'KiB' }, String(host.memoryKib))
  const numbers = Array.from({ length: host.cpus }, (_, index) => element('cpu', { id: index }))
  const cell = element('cell', { id: 0 }, memory, element('cpus', { num: host.cpus }, ...numbers))
  return writeXml(
    element(
      'capabilities',
      {},
      element(
        'host',
        {},
        element('uuid', {}, host.uuid),
        element(
          'cpu',
          {},
          element('arch', {}, 'x86_64'),
          element('topology', { sockets: 1, dies: 1, cores: host.cpus, threads: 1 }),
        ),
        element('topology', {}, element('cells', { num: 1 }, cell)),
      ),
      element(
        'guest',
        {},
        element('os_type', {}, 'hvm'),
        element(
          'arch',
          { name: 'x86_64' },
          element('wordsize', {}, '64'),
          ...machines.map((name) => element('machine', { maxCpus: MAX_VCPUS }, name)),
          element('domain', { type: 'vmexit' }),
        ),
      ),
    ),
  )
}

/** `<domainCapabilities>`. */
export function domainCapabilitiesXml(machine: string): string {
  return writeXml(
    element(
      'domainCapabilities',
      {},
      element('domain', {}, 'vmexit'),
      element('machine', {}, machine),
      element('arch', {}, 'x86_64'),
      element('vcpu', { max: MAX_VCPUS }),
      supported(
        'os',
        supported(
          'loader',
          choice('type', 'rom'),
          choice('readonly', 'yes'),
          choice('secure', 'no'),
        ),
      ),
      element(
        'cpu',
        {},
        mode('host-passthrough', 'yes'),
        mode('host-model', 'no'),
        mode('custom', 'no'),
      ),
      element(
        'devices',
        {},
        supported('disk', choice('diskDevice', 'disk'), choice('bus', 'virtio')),
        supported('graphics', choice('type', 'vnc')),
        supported('video', choice('modelType', 'vga')),
        unsupported('hostdev'),
      ),
      element(
        'features',
        {},
        ...['gic', 'vmcoreinfo', 'genid', 'backingStoreInput', 'backup'].map(unsupported),
      ),
    ),
  )
}

function supported(name: string, ...children: XmlElement[]): XmlElement {
  return element(name, { supported: 'yes' }, ...children)
}

function unsupported(name: string): XmlElement {
  return element(name, { supported: 'no' })
}

function mode(name: string, isSupported: 'yes' | 'no'): XmlElement {
  return element('mode', { name, supported: isSupported })
}

function choice(name: string, ...values: string[]): XmlElement {
  return element('enum', { name }, ...values.map((value) => element('value', {}, value)))
}
