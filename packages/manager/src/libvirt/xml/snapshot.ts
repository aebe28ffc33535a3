import type { SnapshotView } from '../../supervisor/interface.ts'
import { parseXml } from './document/parse.ts'
import { element, only, textOf } from './document/tree.ts'
import { writeXml } from './document/write.ts'

/** What a `<domainsnapshot>` asks for. */
export interface AskedSnapshot {
  /** Its name; without one it gets the time. */
  readonly name: string | undefined
  /** What it is made for. */
  readonly description: string | undefined
}

/** Reads a `<domainsnapshot>`; what is unknown is passed over. */
export function readSnapshot(text: string): AskedSnapshot {
  const root = parseXml(text, 'domainsnapshot')
  const word = (name: string): string | undefined => textOf(only(root, name))?.trim() || undefined
  return { name: word('name'), description: word('description') }
}

/** The `<domainsnapshot>` of a snapshot. */
export function snapshotXml(snapshot: SnapshotView, machine: { readonly uuid: string }): string {
  const { name, description, state, at } = snapshot
  return writeXml(
    element(
      'domainsnapshot',
      {},
      element('name', {}, name),
      description === undefined ? undefined : element('description', {}, description),
      element('state', {}, state),
      element('creationTime', {}, String(secondsOf(at))),
      element('memory', { snapshot: 'internal' }),
      element('domain', {}, element('uuid', {}, machine.uuid)),
    ),
  )
}

/** Seconds since 1970. */
export function secondsOf(at: string): number {
  const milliseconds = Date.parse(at)
  return Number.isNaN(milliseconds) ? 0 : Math.floor(milliseconds / 1000)
}
