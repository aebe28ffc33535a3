import { Keyboard } from '../keyboard.ts'
import { printJson } from '../output.ts'
import { type Run, UsageError, exitCodes, numberOf } from '../verb.ts'

/** `vmexit attach`. */
export const attach: Run = async ({ words: [machine = ''], client }) => {
  const stream = await (await client()).console(machine)
  using keyboard = new Keyboard(stream)
  stream.pipe(process.stdout, { end: false })
  return await keyboard.left
}

/** `vmexit logs`. */
export const logs: Run = async ({ values, words: [machine = ''], client }) => {
  const follow = values['follow'] === true
  const bytes = numberOf(values, 'bytes', Number.MAX_SAFE_INTEGER)
  if (follow && (values['json'] || bytes !== undefined))
    throw new UsageError('--follow goes with neither --json nor --bytes')
  const daemon = await client()
  if (follow && (await daemon.find(machine)).pid !== undefined) {
    for await (const chunk of await daemon.console(machine)) await written(chunk as Uint8Array)
    return exitCodes.fine
  }
  const kept = await daemon.log(machine, bytes)
  if (values['json']) {
    const text = Buffer.from(kept)
    printJson({ machine, text: text.toString(), textBase64: text.toString('base64') })
  } else await written(kept)
  return exitCodes.fine
}

/** A slow reader makes us wait. */
function written(bytes: Uint8Array): Promise<void> {
  return new Promise((done, failed) =>
    process.stdout.write(bytes, (error) => (error ? failed(error) : done())),
  )
}
