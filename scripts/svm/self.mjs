// npm run test:svm -- --self: what the command promises about itself. Each check starts it anew.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { runCases } from '../cases.mjs'
import { capture, root } from '../run.mjs'
import { PREFIX } from '../scope.mjs'

const STARTS = 10
// ava's own start may take longer than the first of them on a busy host, and then no test is named.
const IDLE_SECONDS = [20, 80, 320]
const RUN_MS = 1_200_000
const END_MS = 120_000
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
  // It goes on writing.
  const texts = child.stderr.setEncoding('utf8').iterator({ destroyOnReturn: false })
  for await (const text of texts) {
    said += text
    if (said.includes('/dev/kvm was there')) break
  }
  assert.ok(leftOf(child.pid).length >= 2, `no machine is seen to run: ${said}`)
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

/** Fails unless a run failed, said something and closed with a count. */
function assertFails({ ok, output, last }, says, closes) {
  assert.ok(!ok)
  assert.match(output, says)
  assert.match(last, closes)
}

const leavesNothing = (signal) => async () => assert.deepEqual(await killInTheMiddle(signal), [])

const checks = {
  'a test that fails inside fails the command': () =>
    assertFails(
      run('test', ...spec('fails')),
      /✘ \[fail\]: this one fails on purpose/,
      /^1 passed, 1 failed/,
    ),
  'a test that hangs inside fails the run within its bound, and is named'() {
    const named = /◌ this one hangs on purpose/
    let ran
    for (const idle of IDLE_SECONDS) {
      ran = run('test', `--idle=${idle}`, ...spec('hangs'))
      if (named.test(ran.output)) break
    }
    assertFails(ran, named, /^0 passed, [1-9]\d* failed/)
  },
  'an empty run fails': () =>
    assertFails(run('test', ...spec('empty')), /no test ran/, /^0 passed, 0 failed/),
  'SIGINT in the middle leaves nothing': leavesNothing('SIGINT'),
  'SIGTERM in the middle leaves nothing': leavesNothing('SIGTERM'),
  'SIGKILL in the middle leaves no process, and no file after the next run':
    leavesNothing('SIGKILL'),
  'without /dev/kvm npm test says where to go, and there is a verdict there'() {
    const set = withoutKvm(process.execPath, 'scripts/test.mjs', '__test__/hello.spec.ts')
    assert.match(set.output, /^warning: \/dev\/kvm .*npm run test:svm/m)
    assert.ok(set.ok, set.output)
    const inside = withoutKvm(...main, 'test', 'hlt')
    assert.match(inside.output, /^[1-9]\d* passed, 0 failed/m)
    assert.ok(inside.ok)
  },
  'ten starts of ten reach /dev/kvm'() {
    for (let start = 1; start <= STARTS; start++) {
      const { ok, output } = run('shell', 'test', '-c', '/dev/kvm')
      assert.ok(ok, `start ${start}: ${output}`)
    }
  },
}

/** Runs every check, and says how they ended. */
export const checkSelf = () => runCases(Object.entries(checks))
