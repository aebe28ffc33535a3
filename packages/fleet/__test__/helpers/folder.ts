import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import type { ExecutionContext } from 'ava'

/** A folder of mode 0700 with a short path, which the end of the test removes. */
export function temporary(t: ExecutionContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'vmm-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}
