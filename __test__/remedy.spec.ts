// Why the native binding did not load: the reason that the runtime gives, and what to do.
import { spawnSync } from 'node:child_process'
import test from 'ava'
import { remedy } from '../src/native/remedy.ts'

const because = (code: string, message = 'as it says'): Error =>
  Object.assign(new Error(message), { code })

test('a platform without a binary is told which have one', (t) => {
  t.regex(remedy('darwin-arm64', because('MODULE_NOT_FOUND')), /linux-x64-gnu and linux-x64-musl/)
})

test('a package that is missing is to be installed, and a bundle to leave it out', (t) => {
  const text = remedy('linux-x64-musl', because('MODULE_NOT_FOUND'))
  t.regex(text, /vmexit-linux-x64-musl is missing.*--omit=optional.*mark vmexit as external/)
})

test('whatever else the runtime says is passed on, and nothing is to be installed again', (t) => {
  const text = remedy('linux-x64-gnu', because('ERR_DLOPEN_FAILED', 'no such symbol'))
  t.regex(text, /vmexit-linux-x64-gnu does not load: no such symbol$/)
  t.regex(remedy('linux-x64-gnu', 'no error'), /does not load: no error/)
  t.regex(remedy('linux-x64-gnu', undefined), /does not load: undefined/)
  t.regex(remedy('linux-x64-gnu', because('ERR_ACCESS_DENIED')), /--allow-fs-read.*--allow-addons/)
  const denied = Object.assign(new Error('Requires ffi access'), { name: 'NotCapable' })
  t.regex(remedy('linux-x64-gnu', denied), /Requires ffi access.*--allow-ffi/)
})

test('what a bundler puts in the place of the binary is named, and what to do', (t) => {
  const text = remedy(
    'linux-x64-gnu',
    because('ERR_BUNDLED', 'a bundler has put string in its place'),
  )
  t.regex(text, /a bundler has put string in its place\): mark vmexit as external/)
  const odd = new TypeError('Uint8Array.fromBase64 is not a function')
  t.regex(remedy('linux-x64-gnu', odd), /fromBase64 is not a function; in a bundle, mark vmexit/)
})

test('--no-addons and --permission are named', (t) => {
  const importing = (...options: string[]): string => {
    const code = `import('vmexit').catch(({ message }) => console.log(message))`
    return spawnSync(process.execPath, [...options, '-e', code], { encoding: 'utf8' }).stdout
  }
  t.regex(importing('--no-addons'), /`--no-addons` forbids native addons/)
  const old = process.versions.node.startsWith('20.')
  const permission = old ? '--experimental-permission' : '--permission'
  t.regex(importing(permission, '--allow-fs-read=*'), /`--permission` .* --allow-addons/)
})
