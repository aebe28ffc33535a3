// @ts-check
// Boots, with your terminal as screen and keyboard. In a pipe it types what comes from stdin, then
// Esc, and prints the last screen: `echo hello | npm start`.
import { stdin, stdout } from 'node:process'
import { makeMachine } from './machine.mjs'

const vm = await makeMachine()

const picture = () => vm.screen?.text().join('\n').trimEnd()

if (stdin.isTTY) {
  stdin.setRawMode(true)
  vm.screen?.on('change', () => stdout.write(`\x1b[2J\x1b[H${picture()}\n`))
}
stdin.setEncoding('utf8')
stdin.on('data', (text) => {
  if (String(text) === '\x03') vm.stop()
  else vm.keyboard.type(String(text))
})
stdin.on('end', () => vm.keyboard.type('\x1b'))

const result = await vm.run()
if (stdin.isTTY) stdin.setRawMode(false)
stdin.destroy()
console.log(`${picture()}\n\n${result}`)
vm.close()
