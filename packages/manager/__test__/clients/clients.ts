// Debian's clients of libvirt, which are fetched and not installed.
import test, { type ExecutionContext } from 'ava'

interface Scripts {
  fetchClients(): Promise<string>
  within(usr: string, words: readonly string[], flags?: readonly string[]): string[]
}

const scripts = (await import(
  new URL('../../../../scripts/viewers.mjs', import.meta.url).href
)) as Scripts

/** Where they are, or why there are none. */
type Clients = { readonly usr: string } | { readonly reason: string }

let found: Promise<Clients> | undefined

/** virsh, virt-install, virt-viewer, virt-manager and python3-libvirt; fetched the first time. */
function findClients(): Promise<Clients> {
  found ??= scripts.fetchClients().then(
    (usr) => ({ usr }),
    (error: Error) => ({ reason: error.message.trim().split('\n').at(-1)! }),
  )
  return found
}

/** Words that start a client, with `flags` for unshare(1); throws where there is none. */
export async function withClients(
  words: readonly string[],
  flags: readonly string[] = [],
): Promise<string[]> {
  const clients = await findClients()
  if ('reason' in clients) throw new Error(clients.reason)
  return scripts.within(clients.usr, words, flags)
}

/**
 * A test that needs clients. Where they cannot be had it is skipped with the reason, and fails with
 * it under VMEXIT_REQUIRE_CLIENTS=1.
 */
export async function clientTest(
  title: string,
  run: (t: ExecutionContext) => Promise<void>,
  declare: (title: string, run: (t: ExecutionContext) => Promise<void>) => void = test,
): Promise<void> {
  const clients = await findClients()
  if (!('reason' in clients)) return declare(title, run)
  const { reason } = clients
  if (process.env['VMEXIT_REQUIRE_CLIENTS'] === '1') return test(title, (t) => t.fail(reason))
  test.skip(`${title}: ${reason}`, (t) => t.pass())
}
