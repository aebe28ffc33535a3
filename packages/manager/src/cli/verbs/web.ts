import { print, printJson } from '../output.ts'
import { type Run, exitCodes } from '../verb.ts'

/** `vmexit web`. */
export const web: Run = async ({ values, client }) => {
  const url = await (await client()).webUrl()
  if (values['json']) printJson({ url })
  else print(url)
  return exitCodes.fine
}
