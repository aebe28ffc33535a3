// npm start: set-up, then `vmexit hello` with the arguments that follow.
import { join } from 'node:path'
import { passThrough, root } from './run.mjs'
import { setup } from './setup.mjs'

const main = join(root, 'dist', 'cli', 'main.js')
process.exitCode = setup()
  ? passThrough([process.execPath, main, 'hello', ...process.argv.slice(2)])
  : 1
