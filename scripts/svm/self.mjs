// npm run test:svm -- --self: what the command promises about itself. Each check starts it anew.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { capture, root, sumLine } from '../run.mjs'
import { PREFIX } from '../scope.mjs'

const STARTS = 10
const IDLE_SECONDS = 20
const RUN_MS = 600_000
const END_MS = 10_000
const POLL_MS = 50

const main = [process.execPath, join(root, 'scripts', 'svm', 'main.mjs')]

/** Runs the command to its end: `{ ok, output, last }`. */
function run(...words) {
  const result = capture([...main, ...words], { timeout: RUN_MS })
  return { ...result, last: result.output.trimEnd().split('\n').at(-1) }
}

const spec = (name) => ['--spec', join('__test__', 'fixtures', 'verdicts', `${name}.ts`)]

/** What a run has left: its temporary directories, and processes that work in them. */
function leftOf(pid) {
  const prefix = `${PREFIX}${pid}-`
  const directories = readdirSync(tmpdir()).filter((name) => name.startsWith(prefix))
  const worksThere = (entry) => {
    try {
      return readlinkSync(join('/proc', entry, 'cwd')).startsWith(join(tmpdir(), prefix))
    } catch {
      return false
    }
  }
  return [...directories, ...readdirSync('/proc').filter(worksThere)]
}

/** Ends a run by a signal while its machines work; what is left of it a little later. */
async function killInTheMiddle(signal) {
  const [command, ...args] = [...main, 'test', ...spec('hangs')]
  const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'pipe'] })
  let said = ''
  const isReady = new Promise((resolve) => {
    child.stderr.setEncoding('utf8').on('data', (text) => {
      said += text
      if (said.includes('/dev/kvm was there')) resolve(true)
    })
    child.on('close', () => resolve(false))
  })
  if (!(await isReady)) return [`it ended early: ${said}`]
  if (leftOf(child.pid).length < 2) return ['the check does not see the machine that runs']
  const ended = once(child, 'exit')
  child.kill(signal)
  await ended
  // What SIGKILL leaves on the disk, nothing of that process can remove: the next run does.
  if (signal === 'SIGKILL') run('shell', 'true')
  for (let waited = 0; waited < END_MS && leftOf(child.pid).length > 0; waited += POLL_MS) {
    await sleep(POLL_MS)
  }
  return leftOf(child.pid)
}

/** The same command where /dev/kvm cannot be opened, as in a container: a mount of its own without devices. */
function withoutKvm(...command) {
  const hide = 'mount --bind /dev/kvm /dev/kvm && mount -o remount,bind,nodev /dev/kvm'
  const script = `${existsSync('/dev/kvm') ? hide : 'true'} && exec "$@"`
  const alone = ['unshare', '--map-root-user', '--mount', 'sh', '-c', script, 'sh']
  // Where a missing one is an error, npm test would end there.
  const words = [...alone, 'env', '--unset=VMEXIT_REQUIRE_KVM', ...command]
  return capture(words, { timeout: RUN_MS })
}

/** What is wrong with the verdict of a run that shall fail, if anything. */
const verdict = ({ ok, output, last }, { says, closes }) =>
  !ok && says.test(output) && closes.test(last) ? '' : output

const checks = {
  'a test that fails inside fails the command': () =>
    verdict(run('test', ...spec('fails')), {
      says: /✘ \[fail\]: this one fails on purpose/,
      closes: /^1 passed, 1 failed/,
    }),
  'a test that hangs inside fails the run within its bound, and is named': () =>
    verdict(run('test', `--idle=${IDLE_SECONDS}`, ...spec('hangs')), {
      says: /◌ this one hangs on purpose/,
      closes: /^0 passed, [1-9]\d* failed/,
    }),
  'an empty run fails': () =>
    verdict(run('test', ...spec('empty')), { says: /no test ran/, closes: /^0 passed, 0 failed/ }),
  async 'SIGINT in the middle leaves nothing'() {
    return (await killInTheMiddle('SIGINT')).join(' ')
  },
  async 'SIGTERM in the middle leaves nothing'() {
    return (await killInTheMiddle('SIGTERM')).join(' ')
  },
  async 'SIGKILL in the middle leaves no process, and no file behind the next run'() {
    return (await killInTheMiddle('SIGKILL')).join(' ')
  },
  'without /dev/kvm npm test says where to go, and there is a verdict there'() {
    const set = withoutKvm(process.execPath, 'scripts/test.mjs', '__test__/hello.spec.ts')
    if (!/^warning: \/dev\/kvm .*npm run test:svm/m.test(set.output)) return set.output
    if (!set.ok) return set.output
    const inside = withoutKvm(...main, 'test', 'hlt')
    return inside.ok && /^[1-9]\d* passed, 0 failed/m.test(inside.output) ? '' : inside.output
  },
  'ten starts of ten reach /dev/kvm'() {
    for (let start = 1; start <= STARTS; start++) {
      const { ok, output } = run('shell', 'test', '-c', '/dev/kvm')
      if (!ok) return `start ${start}: ${output}`
    }
    return ''
  },
}

/** Runs every check and returns the exit code. */
export async function checkSelf() {
  const counts = { passed: 0, failed: 0 }
  for (const [title, check] of Object.entries(checks)) {
    const begin = performance.now()
    const problem = await check()
    const seconds = ((performance.now() - begin) / 1000).toFixed(0)
    process.stdout.write(`${problem ? 'FAILED' : 'ok    '} ${title} (${seconds} s)\n`)
    if (problem) process.stdout.write(`${problem}\n`)
    counts[problem ? 'failed' : 'passed'] += 1
  }
  process.stdout.write(`${sumLine(counts)}\n`)
  return counts.failed === 0 ? 0 : 1
}
