import type { MachineView, Supervisor } from '../../supervisor/interface.ts'
import { ManagerError } from '../../supervisor/errors.ts'
import { ERROR, fail, FROM } from '../errors.ts'
import { capabilitiesOf } from './node/host.ts'
import { domainCapabilitiesXml, machines } from '../xml/capabilities.ts'
import { domainXml, readDomain, type Defined, type Live } from '../xml/domain.ts'
import type { Handlers } from './call.ts'
import { startOptions } from './lifecycle.ts'
import { checkFlags, domainOf, find, isActive, machineOf } from './machines.ts'

/** `virDomainXMLFlags`: the others change nothing here. */
const XML = { secure: 1, inactive: 2, updateCpu: 4, migratable: 8 } as const
const xmlFlags = XML.secure | XML.inactive | XML.updateCpu | XML.migratable

/** `VIR_DOMAIN_DEFINE_VALIDATE`: against our own rules, which always hold. */
const validate = 1

/** `virDomainUndefineFlagsValues`; there is nothing of the last five. */
const UNDEFINE = { managedSave: 1, snapshots: 2, rest: 4 | 8 | 16 | 32 | 64 } as const
const undefineFlags = UNDEFINE.managedSave | UNDEFINE.snapshots | UNDEFINE.rest

/** The document of a machine, as libvirt's flags want it. */
function documentOf(supervisor: Supervisor, view: MachineView, flags: number): string {
  const isLive = isActive(view) && (flags & XML.inactive) === 0
  const secure = (flags & XML.secure) !== 0
  if (!isLive) return domainXml(view, { secure })
  return domainXml(view, { secure, live: { ...sockets(supervisor, view), id: domainOf(view).id } })
}

/** Its sockets; none for one that ended meanwhile. */
function sockets(supervisor: Supervisor, view: MachineView): Omit<Live, 'id'> {
  try {
    return supervisor.sockets(view.name)
  } catch (error) {
    if (error instanceof ManagerError) return {}
    throw error
  }
}

/** What a document defines; what is wrong with it is an error of XML. */
function read(supervisor: Supervisor, text: string): Defined {
  try {
    return readDomain(text, (name) => find(supervisor, name))
  } catch (error) {
    if (!(error instanceof ManagerError)) throw error
    return fail(ERROR.xml, error.message, FROM.xml)
  }
}

/** Stores what a document defines. */
export async function define(
  supervisor: Supervisor,
  text: string,
  persistent: boolean,
): Promise<MachineView> {
  const { definition, name, uuid, xml } = read(supervisor, text)
  // What is there already was accepted: a module that was defined locally stays with its machine.
  const isKept = (definition as unknown) === find(supervisor, name)?.definition
  return supervisor.define(definition, {
    from: isKept ? 'local' : 'xml',
    persistent,
    xml,
    ...(uuid !== undefined && { uuid }),
  })
}

async function undefine(supervisor: Supervisor, view: MachineView, flags: number): Promise<void> {
  if (view.saved && (flags & UNDEFINE.managedSave) === 0) {
    fail(ERROR.operationInvalid, `${view.name} has a saved state: --managed-save forgets it, too`)
  }
  const { length } = await supervisor.snapshots(view.name)
  if (length > 0 && (flags & UNDEFINE.snapshots) === 0) {
    fail(
      ERROR.operationInvalid,
      `${view.name} has ${length} snapshots: --snapshots-metadata forgets them, too`,
    )
  }
  await supervisor.undefine(view.name)
}

/** Documents of machines: to define, to show and to forget. */
export const definitionHandlers = {
  domainDefineXml: async ({ supervisor }, { xml }) => ({
    dom: domainOf(await define(supervisor, xml, true)),
  }),
  domainDefineXmlFlags: async ({ supervisor }, { xml, flags }) => {
    checkFlags(flags, validate)
    return { dom: domainOf(await define(supervisor, xml, true)) }
  },
  domainCreateXml: async ({ supervisor }, { xml_desc, flags }) => {
    const options = startOptions(flags)
    const { name } = read(supervisor, xml_desc)
    if (find(supervisor, name) !== undefined) {
      fail(ERROR.domainExists, `a machine is called '${name}' already: start that one`)
    }
    const view = await define(supervisor, xml_desc, false)
    try {
      return { dom: domainOf(await supervisor.start(view.name, options)) }
    } catch (error) {
      // One that is not kept when it ends is not kept when it does not start.
      await supervisor.undefine(view.name).catch(() => undefined)
      throw error
    }
  },
  domainUndefine: ({ supervisor }, { dom }) => undefine(supervisor, machineOf(supervisor, dom), 0),
  domainUndefineFlags: ({ supervisor }, { dom, flags }) => {
    checkFlags(flags, undefineFlags)
    return undefine(supervisor, machineOf(supervisor, dom), flags)
  },
  domainGetXmlDesc: ({ supervisor, isReadOnly }, { dom, flags }) => {
    checkFlags(flags, xmlFlags)
    if (isReadOnly && (flags & XML.secure) !== 0) {
      fail(ERROR.operationDenied, 'a connection that reads only does not show passwords')
    }
    return { xml: documentOf(supervisor, machineOf(supervisor, dom), flags) }
  },
  connectGetCapabilities: () => ({ capabilities: capabilitiesOf() }),
  connectGetDomainCapabilities: (_call, { arch, machine, virttype, flags }) => {
    checkFlags(flags, 0)
    if ((virttype ?? 'vmexit') !== 'vmexit' || (arch ?? 'x86_64') !== 'x86_64') {
      return fail(ERROR.argumentUnsupported, `there is the type vmexit on x86_64 only`)
    }
    return { capabilities: domainCapabilitiesXml(machine ?? machines[0]) }
  },
} satisfies Handlers
