// @ts-check
import { makeMachine } from './machine.mjs'

const vm = await makeMachine()
const result = await vm.run({ timeoutMs: 10_000 })
console.log(result.outputText)
console.log(`${result}; ${result.exits} exits`)
vm.close()
