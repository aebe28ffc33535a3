import type { MachineDefinition } from 'vmexit'

import { said, type Said } from './from-words.ts'
import { merged } from './merge.ts'
import { normalForm } from './normal.ts'
import { parseXml } from './document/parse.ts'
import { difference, isObject, isSame, patched, type Json, type JsonObject } from './patch.ts'
import { refuse } from './document/refuse.ts'
import { definitionName, domainShape } from './shapes.ts'
import { words } from './to-words.ts'
import { attribute, element, first, only, textOf, type XmlElement } from './document/tree.ts'
import { writeXml } from './document/write.ts'

/** The namespace of `<vmexit:definition>`. */
const namespace = 'https://github.com/vmexit/vmexit/domain/1'

/** Values of the JSON in each other; a definition's own go to five. */
const maxJsonDepth = 32

/** A machine as this folder needs it. */
export interface Described {
  /** Its name. */
  readonly name: string
  /** Its UUID. */
  readonly uuid: string
  /** What it is made of. */
  readonly definition: MachineDefinition
  /** The document that defined it, if that said more than the definition does. */
  readonly xml?: string
}

/** What a document defines. */
export interface Defined {
  /** The machine's name. */
  readonly name: string
  /** The UUID that the document asks for. */
  readonly uuid: string | undefined
  /** The definition. Nobody has checked it. */
  readonly definition: JsonObject
  /** The document, when it says more than the definition does, else an empty text. */
  readonly xml: string
}

/** What a running machine adds to its document. */
export interface Live {
  /** libvirt's number of it. */
  readonly id: number
  /** Where its screen listens. */
  readonly screen?: string
  /** Where its screen listens on loopback. */
  readonly vncPort?: number
}

/** How to write a document. */
export interface DomainXmlOptions {
  /** With the VNC password (`VIR_DOMAIN_XML_SECURE`). */
  readonly secure?: boolean
  /** As it runs; without it, as it is defined (`VIR_DOMAIN_XML_INACTIVE`). */
  readonly live?: Live
}

/** The `<domain>` of a machine. */
export function domainXml(machine: Described, options: DomainXmlOptions = {}): string {
  return writeXml(domainTree(machine, options))
}

/** The same, as a tree. */
export function domainTree(machine: Described, options: DomainXmlOptions = {}): XmlElement {
  const fresh = freshDomain(machine, options.secure === true)
  const kept = keptDomain(machine)
  const whole = kept === undefined ? fresh : merged(kept, fresh, domainShape)
  if (options.live !== undefined) enliven(whole, options.live)
  return whole
}

/**
 * What a `<domain>` defines. `stored` finds the machine that it replaces, whose password stays when
 * the document has none, and whose way to write the definition stays when it says the same.
 */
export function readDomain(text: string, stored: (name: string) => Described | undefined): Defined {
  const domain = parseXml(text, 'domain')
  const spoken = said(domain)
  const { name, uuid } = spoken
  const before = stored(name)
  const wanted = withPatch(domain, spoken, name)
  const full = withPassword(wanted, spoken.vnc, before)
  if (!isObject(full['payload'])) {
    refuse('<os> needs <kernel> or <loader>, the file of a kernel or of firmware')
  }
  const definition = full as unknown as MachineDefinition
  // The UUID is the machine's, not the document's.
  const fresh = freshDomain({ name, uuid: undefined, definition }, false)
  const whole = writeXml(merged(domain, fresh, domainShape))
  return {
    name,
    uuid,
    definition: asBefore(name, full, before),
    xml: whole === writeXml(fresh) ? '' : whole,
  }
}

/** The definition in words, and in JSON what they do not say. */
function freshDomain(
  machine: Omit<Described, 'uuid' | 'xml'> & { readonly uuid: string | undefined },
  secure: boolean,
): XmlElement {
  const normal = normalForm(machine.name, machine.definition)
  const domain = words(machine.uuid, normal)
  const patch = difference(said(domain).definition, normal)
  if (!secure) hidePassword(domain, patch)
  if (patch !== undefined) {
    domain.children.push(element(definitionName, { 'xmlns:vmexit': namespace }, jsonText(patch)))
  }
  return domain
}

function hidePassword(domain: XmlElement, patch: JsonObject | undefined): void {
  first(first(domain, 'devices'), 'graphics')?.attributes.delete('passwd')
  const vnc = vncIn(patch)
  if (vnc !== undefined) delete vnc['password']
}

function vncIn(definition: JsonObject | undefined): JsonObject | undefined {
  const manager = definition?.['manager']
  const vnc = isObject(manager) ? manager['vnc'] : undefined
  return isObject(vnc) ? vnc : undefined
}

/** JSON in characters that XML has. */
function jsonText(value: JsonObject): string {
  const short = JSON.stringify(value)
  const long = short.length > 60 ? `\n${JSON.stringify(value, null, 2)}\n` : short
  return long.replaceAll(
    /[\u007f-\u009f\ufffe\uffff]/g,
    (character) => String.raw`\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

function keptDomain({ xml }: Described): XmlElement | undefined {
  return xml === undefined || xml === '' ? undefined : parseXml(xml, 'domain')
}

function enliven(domain: XmlElement, live: Live): void {
  domain.attributes.set('id', String(live.id))
  const graphics = first(first(domain, 'devices'), 'graphics')
  const listen = first(graphics, 'listen')
  if (graphics === undefined || listen === undefined) return
  if (attribute(listen, 'type') !== 'socket') {
    if (live.vncPort !== undefined) graphics.attributes.set('port', String(live.vncPort))
  } else if (live.screen !== undefined) {
    graphics.attributes.set('socket', live.screen)
    listen.attributes.set('socket', live.screen)
  }
}

function withPatch(domain: XmlElement, { definition }: Said, name: string): JsonObject {
  const text = textOf(only(domain, definitionName))
  if (text === undefined || text.trim() === '') return definition
  const patch = parseJson(text)
  if (!isObject(patch)) return refuse(`<${definitionName}> must be an object of JSON`)
  return { ...(patched(definition, patch) as JsonObject), name }
}

function parseJson(text: string): Json {
  if (depthOf(text) > maxJsonDepth) refuse(`<${definitionName}> has values in each other beyond 32`)
  try {
    return JSON.parse(text) as Json
  } catch (error) {
    return refuse(`<${definitionName}> is no JSON: ${(error as Error).message}`)
  }
}

/** How deep values lie in each other; each character is looked at once, whatever they are. */
function depthOf(text: string): number {
  let [depth, deepest, inString] = [0, 0, false]
  for (let at = 0; at < text.length; at++) {
    const character = text[at]
    if (inString && character === '\\') at++
    else if (character === '"') inString = !inString
    else if (!inString && (character === '[' || character === '{')) depth++
    else if (!inString && (character === ']' || character === '}')) depth--
    deepest = Math.max(deepest, depth)
  }
  return deepest
}

/** A port for VNC without a password has the one of the machine that is there. */
function withPassword(wanted: JsonObject, vnc: Said['vnc'], before?: Described): JsonObject {
  const patchVnc = vncIn(wanted)
  if (typeof patchVnc?.['password'] === 'string') return wanted
  if (patchVnc === undefined && vnc === undefined) return wanted
  const password = vncIn(before?.definition as unknown as JsonObject | undefined)?.['password']
  if (typeof password === 'string') {
    const port = vnc === undefined || vnc.port === 0 ? {} : { port: vnc.port }
    const manager = isObject(wanted['manager']) ? wanted['manager'] : {}
    return { ...wanted, manager: { ...manager, vnc: { ...port, ...patchVnc, password } } }
  }
  if (patchVnc === undefined && vnc?.isAsked !== true) return wanted
  return refuse(
    'a TCP port for VNC is open to every user of this computer: give <graphics> a passwd of up to' +
      " 8 characters, or leave its port out and have <listen type='socket'/>",
  )
}

/** The definition that is there, if it says the same. */
function asBefore(name: string, wanted: JsonObject, before: Described | undefined): JsonObject {
  if (before === undefined || before.name !== name) return wanted
  const normal = normalForm(name, wanted as unknown as MachineDefinition)
  return isSame(normal, normalForm(name, before.definition))
    ? (before.definition as unknown as JsonObject)
    : wanted
}
