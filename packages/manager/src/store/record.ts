import type { MachineDefinition } from 'vmexit'

import { canonicalJson, checkDefinition, isUuid } from '../definition/index.ts'

/** Bytes of a `machine.json`. */
export const maxRecordBytes = 4 * 1024 * 1024

/** A machine as it is kept: what is in its `machine.json`. */
export interface MachineRecord {
  /** The version of this format. */
  readonly version: 1
  /** Its name, and that of its folder. */
  readonly name: string
  /** Made at define, and kept. */
  readonly uuid: string
  /** Whether the daemon starts it when it starts. */
  readonly autostart: boolean
  /** Whether it is kept when it ends. */
  readonly persistent: boolean
  /** What it is made of. */
  readonly definition: MachineDefinition
  /** What libvirt's XML says beside that, if it came from there. */
  readonly xml?: string
}

/** The content of a `machine.json`. */
export function recordText(record: MachineRecord): string {
  return canonicalJson(record)
}

/** The machine that the `machine.json` in the folder `name` is about; throws what is wrong. */
export function parseRecord(text: string, name: string): MachineRecord {
  const value: unknown = JSON.parse(text)
  if (typeof value !== 'object' || value === null) throw new Error('it is no object')
  const { version, uuid, autostart, persistent, xml, definition, ...rest } = value as Record<
    string,
    unknown
  >
  if (version !== 1) throw new Error('its version is not 1, so a later manager wrote it')
  if (rest['name'] !== name) throw new Error(`its name is not that of its folder, ${name}`)
  if (!isUuid(uuid)) throw new Error('its uuid is no UUID')
  if (typeof autostart !== 'boolean') throw new Error('its autostart is not true or false')
  if (persistent !== undefined && typeof persistent !== 'boolean')
    throw new Error('its persistent is not true or false')
  if (xml !== undefined && typeof xml !== 'string') throw new Error('its xml is no text')
  const checked = checkDefinition(definition, { from: 'local' })
  if (checked.name !== name) throw new Error(`its definition.name is not ${name}`)
  return {
    version,
    name,
    uuid,
    autostart,
    persistent: persistent ?? true,
    definition: checked,
    ...(xml !== undefined && { xml }),
  }
}
