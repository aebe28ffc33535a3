// @ts-check
// Boots the kernel, with your terminal as its serial port: `ping`, `panic`, `off`, each with Enter.
// Ctrl-D is `off`, Ctrl-C ends the machine at once.
import { stdin, stdout } from 'node:process'
import { makeMachine } from './machine.mjs'

const vm = makeMachine()
const { screen, serial } = vm
process.once('SIGINT', () => vm.stop())
serial?.on('data', (bytes) => stdout.write(bytes))
stdin.on('data', (bytes) => serial?.write(bytes))
stdin.on('end', () => serial?.write('off\n'))

const result = await vm.run()
stdin.destroy()
console.log(`\n${result}. The screen:\n\n${screen?.text().join('\n').trimEnd()}`)
vm.close()
