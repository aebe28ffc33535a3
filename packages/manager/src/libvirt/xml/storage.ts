import { element } from './document/tree.ts'
import { writeXml } from './document/write.ts'

/** A file that a disk may be made of. */
export interface DiskFile {
  /** Its path. */
  readonly path: string
  /** Whether it is a block device. */
  readonly isBlock: boolean
  /** Its size in bytes. */
  readonly capacity: bigint
  /** What it takes in bytes. */
  readonly allocation: bigint
}

/** `<volume>` of a file. */
export function volumeXml({ path, isBlock, capacity, allocation }: DiskFile): string {
  return writeXml(
    element(
      'volume',
      { type: isBlock ? 'block' : 'file' },
      element('name', {}, path),
      element('key', {}, path),
      element('capacity', { unit: 'bytes' }, String(capacity)),
      element('allocation', { unit: 'bytes' }, String(allocation)),
      element('target', {}, element('path', {}, path), element('format', { type: 'raw' })),
    ),
  )
}

/** `<pool>` of all files: its target is the root. */
export function poolXml(pool: { readonly name: string; readonly uuid: string }): string {
  return writeXml(
    element(
      'pool',
      { type: 'dir' },
      element('name', {}, pool.name),
      element('uuid', {}, pool.uuid),
      element('target', {}, element('path', {}, '/')),
    ),
  )
}
