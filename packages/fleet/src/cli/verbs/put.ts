import { storeOf } from '../../store/index.ts'
import { plain, print } from '../output.ts'
import { type Run, textOf, usage } from '../verb.ts'

/** `vmexit fleet put`. */
export const put: Run = async ({ values, words }) => {
  const store = storeOf(textOf(values, 'store') ?? usage('fleet put needs --store STORE'))
  try {
    for (const file of words) {
      const hash = await store.putFile(file)
      print(values['json'] ? JSON.stringify({ file, hash }) : `${hash}  ${plain(file)}`)
    }
  } finally {
    await store.close()
  }
  return 0
}
