// @ts-check
// The prime numbers up to 100, or `npm start 1000`.
import { run } from './machine.mjs'

const result = await run(Number(process.argv[2] ?? 100))
console.log(result.outputText.trim())
console.log(`${result}; ${result.exits} exits`)
