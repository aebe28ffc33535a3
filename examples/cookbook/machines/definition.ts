// Make a machine of a JSON document
//
// prints: first says: Hello, world!
//         VmError: payload.guest …
import { VirtualMachine, fromDefinition } from 'vmexit'

const text = `{
  "name": "first",
  "mode": "long",
  "memoryBytes": "0x200000",
  "payload": { "guest": "hello" },
  "routes": [{ "port": "0xe9", "to": "console" }]
}`
const definition = JSON.parse(text)
using vm = new VirtualMachine(await fromDefinition(definition))
const { outputText } = await vm.run({ timeoutMs: 10_000 })
console.log(`${definition.name} says: ${outputText.trim()}`)

const wrong = { ...definition, payload: { guest: 'helo' } }
await fromDefinition(wrong).catch((error) => console.log(String(error)))
