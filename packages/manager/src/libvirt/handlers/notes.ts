import { ERROR, fail } from '../errors.ts'
import { noteOf, withNote, type Note } from '../xml/notes.ts'
import type { Handlers } from './call.ts'
import { define } from './definitions.ts'
import { checkFlags, machineOf } from './machines.ts'

/** `virDomainMetadataType`; elements are changed with the document as a whole. */
const notes: readonly Note[] = ['description', 'title']

/** `virDomainModificationImpact`: a note is the same for a machine that runs. */
const impact = 1 | 2

function noteNamed(type: number): Note {
  return (
    notes[type] ??
    fail(ERROR.argumentUnsupported, '<metadata> is read and changed with its document (virsh edit)')
  )
}

/** Title and description. */
export const noteHandlers = {
  domainGetMetadata: ({ supervisor }, { dom, type, flags }) => {
    checkFlags(flags, impact)
    const view = machineOf(supervisor, dom)
    const note = noteNamed(type)
    const metadata = noteOf(view, note)
    return metadata === undefined
      ? fail(ERROR.noMetadata, `${view.name} has no ${note}`)
      : { metadata }
  },
  domainSetMetadata: async ({ supervisor }, { dom, type, metadata, flags }) => {
    checkFlags(flags, impact)
    const view = machineOf(supervisor, dom)
    await define(supervisor, withNote(view, noteNamed(type), metadata), view.persistent)
  },
} satisfies Handlers
