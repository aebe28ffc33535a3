// `vmexit bench`: the document's shape, the page, Ctrl-C. How fast anything is, is not asked here.
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'

import test, { type ExecutionContext } from 'ava'

import { routeNames } from '../src/bench/route-names.ts'
import { native } from '../src/native/native.ts'
import { kvmTest } from './helpers/kvm.ts'
import { affordable } from './helpers/speed.ts'

interface Ran {
  code: number | null
  stdout: string
  stderr: string
}

const main = new URL('../dist/cli/main.js', import.meta.url).pathname
const folder = mkdtempSync(join(tmpdir(), 'vmexit-bench-spec-'))
test.after.always(() => rmSync(folder, { recursive: true }))

// A test that fails in the middle leaves its benchmark, which would run for hours.
const started = new Set<ChildProcess>()
test.after.always(() => {
  for (const { pid } of started) process.kill(-pid!, 'SIGKILL')
})

/** Starts it as a terminal would: in a process group of its own. */
function start(args: string[], env: NodeJS.ProcessEnv = {}): [ChildProcess, Promise<Ran>] {
  const child = spawn(process.execPath, [main, 'bench', ...args], {
    detached: true,
    env: { ...process.env, ...env },
  })
  started.add(child)
  let [stdout, stderr] = ['', '']
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
  const ran = new Promise<Ran>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code) => {
      started.delete(child)
      resolve({ code, stdout, stderr })
    })
  })
  return [child, ran]
}

function bench(args: string[], env?: NodeJS.ProcessEnv): Promise<Ran> {
  return start(args, env)[1]
}

/** A file of a process in /proc; empty when the process has gone meanwhile. */
function ofProcess(pid: string | number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'latin1')
  } catch {
    return ''
  }
}

/** The processes that a process has started. */
function childrenOf(pid: number): number[] {
  const isChild = (entry: string): boolean => {
    const stat = ofProcess(entry, 'stat')
    // pid (name) state ppid: the name may hold anything, parentheses included.
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]) === pid
  }
  return readdirSync('/proc').filter(isChild).map(Number)
}

/** Waits until it measures: its baseline runs. */
async function baselineOf(child: ChildProcess): Promise<number> {
  for (let waited = 0; waited < 300_000; waited += 20) {
    for (const pid of childrenOf(child.pid!)) {
      if (ofProcess(pid, 'comm').startsWith('raw-')) return pid
    }
    await wait(20)
  }
  return Promise.reject(new Error('no baseline process within a minute'))
}

function checkRoute(t: ExecutionContext, route: any): void {
  const { nsPerExit, histogram, pairs, ratio, spread } = route
  t.is(pairs.length, route.samples)
  t.is(route.unitsPerTime, route.route === 'constant' ? Math.min(100, route.unitsPerSample) : 1)
  t.true(route.samples >= 7)
  for (const ns of Object.values(nsPerExit)) t.true((ns as number) > 10, JSON.stringify(nsPerExit))
  t.true(nsPerExit.p50 <= nsPerExit.p90 && nsPerExit.p90 <= nsPerExit.p99)
  t.true(nsPerExit.p99 <= nsPerExit.max)
  const meanOf = (key: string): number =>
    pairs.reduce((sum: number, pair: any) => sum + pair[key], 0) / pairs.length
  t.true(Math.abs(ratio / (meanOf('baselineNs') / meanOf('routeNs')) - 1) < 0.01)
  const aboveC = meanOf('routeNs') - meanOf('baselineNs')
  t.true(
    Math.abs(route.nsAbove - aboveC) <= 1 + 0.01 * meanOf('routeNs'),
    `${route.nsAbove} ${aboveC}`,
  )
  t.is(typeof route.nsAboveP50, 'number')
  t.true(spread >= 0 && ratio > 0)
  t.true(
    histogram.length > 0 &&
      histogram.every(([ns, count, bin]: number[]) => ns! > 0 && count! > 0 && bin! > 0),
  )
}

kvmTest('the life of a machine is also beside that of a C program which is alone', async (t) => {
  const args = ['--route', 'lifecycle', '--route', 'registers', '--exits', `${affordable(1000)}`]
  const ran = await bench([...args, '--json'])
  t.is(ran.code, 0, ran.stderr)
  const { routes, baseline } = JSON.parse(ran.stdout)
  const [registers, lifecycle] = routes
  t.like(registers, { route: 'registers', baselineKind: null, ratio: null, nsAbove: null })
  t.deepEqual(
    lifecycle.others.map(({ kind }: any) => kind),
    ['lifecycle-alone'],
  )
  const [{ ratio, nsPerExit, nsAbove }] = lifecycle.others
  t.true(Math.abs(ratio - nsPerExit / lifecycle.nsPerExit.mean) < 0.01 * ratio + 0.001)
  t.true(Math.abs(nsAbove - (lifecycle.nsPerExit.mean - nsPerExit)) <= 2)
  const alone = baseline.kinds.find(({ kind }: any) => kind === 'lifecycle-alone')
  t.true(Math.abs(alone.nsPerExit.mean - nsPerExit) <= 1)
})

kvmTest('native calls are measured beside C, and by other means', async (t) => {
  const names = ['native-call', 'native-call-spin', 'wasm-call', 'syscall', 'syscall-js', 'import']
  const args = [...names, 'compute', 'native-reset'].flatMap((name) => ['--route', name])
  const ran = await bench([...args, '--exits', `${affordable(200)}`, '--json'])
  t.is(ran.code, 0, ran.stderr)
  const { routes, failed } = JSON.parse(ran.stdout)
  t.deepEqual(failed, [])
  t.deepEqual(
    routes.map(({ route, baselineKind }: any) => [route, baselineKind]),
    [
      ['native-call', 'user-call'],
      ['native-call-spin', 'user-call'],
      ['wasm-call', null],
      ['syscall', 'syscall'],
      ['syscall-js', 'syscall'],
      ['import', 'syscall'],
      ['compute', 'compute'],
      ['native-reset', 'user-call'],
    ],
  )
})

kvmTest('a call, a step, a reset and a fork are measured beside what C does', async (t) => {
  const names = ['call', 'pause', 'step', 'reset-1', 'reset-100', 'fork', 'snapshot']
  const args = names.flatMap((name) => ['--route', name])
  const ran = await bench([...args, '--exits', `${affordable(200)}`, '--json'])
  t.is(ran.code, 0, ran.stderr)
  const { routes, failed } = JSON.parse(ran.stdout)
  t.deepEqual(failed, [])
  t.deepEqual(
    routes.map(({ route, baselineKind }: any) => [route, baselineKind]),
    [
      ['call', 'call'],
      ['pause', null],
      ['step', 'step'],
      ['reset-1', 'reset-1'],
      ['reset-100', 'reset-100'],
      ['fork', 'fork'],
      ['snapshot', null],
    ],
  )
  const [, , , one, hundred, fork] = routes
  for (const { part } of [one, hundred]) {
    t.is(part.name, 'restore()')
    t.true(Math.abs(part.nsAbove - (part.ns - part.baselineNs)) <= 2, JSON.stringify(part))
  }
  t.deepEqual(
    fork.others.map(({ kind }: any) => kind),
    ['fork-new'],
  )
  t.is(fork.part, null)
})

const routeArgs = ['constant', 'device-sync', 'lifecycle'].flatMap((name) => ['--route', name])

kvmTest('--json: one document of the fixed shape, and a page', async (t) => {
  const page = join(folder, 'report.html')
  const ran = await bench([...routeArgs, '--exits', `${affordable(300)}`, '--json', '--out', page])
  t.is(ran.code, 0, ran.stderr)
  const document = JSON.parse(ran.stdout)
  t.is(document.schema, 'vmexit-bench/1')
  t.like(document.host, { backend: native.hostBackend(), node: process.version })
  t.deepEqual(Object.keys(document.host), ['backend', 'cpu', 'kernel', 'node', 'cores'])
  t.is(typeof document.baseline.name, 'string')
  t.true(document.baseline.nsPerExit > 10)
  t.deepEqual(
    document.routes.map((route: any) => [route.route, route.unit]),
    [
      ['constant', 'exit'],
      ['device-sync', 'exit'],
      ['lifecycle', 'machine'],
    ],
  )
  t.deepEqual([document.skipped, document.failed, document.interrupted], [[], [], false])
  for (const route of document.routes) checkRoute(t, route)

  // One progress line for each route, where stderr is no terminal.
  t.is(ran.stderr.match(/^\[\d\/3\] /gm)?.length, 3, ran.stderr)

  const html = readFileSync(page, 'utf8')
  t.regex(html, /^<!doctype html>/)
  t.notRegex(html, /https?:|\bsrc=|\bhref=|@import|url\(|<script/)
  t.is(html.match(/<svg /g)?.length, 3)
  t.is(html.match(/class="verdict"/g)?.length, 3)
  t.true(html.includes('vmexit-bench/1'))
})

kvmTest('for people: a table', async (t) => {
  const ran = await bench(['--route', 'constant', '--exits', `${affordable(100)}`])
  t.is(ran.code, 0, ran.stderr)
  t.regex(ran.stdout, /^route +unit +mean +ratio +above +spread +p50 +p90 +p99 +max +of$/m)
  t.regex(ran.stdout, /^constant +exit +[\d.]+ (ns|µs|ms) +[\d.]+ +[+−][\d.]+ (ns|µs|ms) .+ \d+$/m)
})

kvmTest('without a C compiler the baseline has another name, and a warning says so', async (t) => {
  const args = [
    '--route',
    'device-sync',
    '--route',
    'hlt',
    '--exits',
    `${affordable(100)}`,
    '--json',
  ]
  const ran = await bench(args, { CC: '/nonexistent/cc' })
  t.is(ran.code, 0, ran.stderr)
  const { baseline, routes } = JSON.parse(ran.stdout)
  t.is(baseline.name, 'vmexit-bare')
  t.true(baseline.nsPerExit > 10)
  t.deepEqual(
    routes.map(({ route, ratio }: any) => [route, typeof ratio]),
    [
      ['device-sync', 'number'],
      ['hlt', 'object'],
    ],
  )
  t.is(routes[1].ratio, null)
  t.regex(ran.stderr, /^warning: no C compiler: \/nonexistent\/cc: not found; the baseline is /m)
})

kvmTest('Ctrl-C: the routes that are done, code 130, no process left behind', async (t) => {
  const [child, ran] = start(['--exits', `${affordable(2000)}`, '--json'])
  const baseline = await baselineOf(child)
  // The progress line of the first route; a warning may precede it.
  await new Promise<void>((resolve) => {
    child.stderr?.on(
      'data',
      (chunk: Buffer) => chunk.includes(`[1/${routeNames.length}]`) && resolve(),
    )
  })
  process.kill(-child.pid!, 'SIGINT')
  const { code, stdout } = await ran
  t.is(code, 130)
  t.false(existsSync(`/proc/${baseline}`))
  const { interrupted, routes } = JSON.parse(stdout)
  t.true(interrupted)
  t.is(routes[0].route, 'constant')
  t.true(routes.length < routeNames.length)
  for (const route of routes) t.true(route.nsPerExit.p99 > 10)
})

for (const route of ['constant', 'device']) {
  kvmTest(`Ctrl-C in the first sample of ${route}, which would take hours`, async (t) => {
    const [child, ran] = start(['--route', route, '--exits', '1000000000', '--json'])
    const baseline = await baselineOf(child)
    await wait(300)
    process.kill(-child.pid!, 'SIGINT')
    const { code, stdout, stderr } = await ran
    t.is(code, 130, stderr)
    t.false(existsSync(`/proc/${baseline}`))
    t.like(JSON.parse(stdout), { interrupted: true, routes: [], failed: [] })
  })
}

test('wrong use is exit code 2 and one line on stderr', async (t) => {
  const wrong: [string[], RegExp][] = [
    [['--route', 'warp'], /--route must be one of constant, .+, lifecycle, .+, got 'warp'/],
    [['--exits', '0'], /--exits must be a positive number, got '0'/],
    [['--exits=-5'], /--exits must be a number/],
    [['--exits', 'many'], /--exits must be a number .+ got 'many'/],
    [['--out', join(folder, 'absent', 'report.html')], /--out must be a file .+ ENOENT/],
    [['fast'], /bench takes no argument, got 'fast'/],
    [['--fast'], /--fast/],
  ]
  const all = await Promise.all(wrong.map(([args]) => bench(args)))
  for (const [index, ran] of all.entries()) {
    const [args, message] = wrong[index]!
    t.is(ran.code, 2, args.join(' '))
    t.regex(ran.stderr, message)
    t.is(ran.stderr.trimEnd().split('\n').length, 1, ran.stderr)
    t.is(ran.stdout, '')
  }
})

test('--help names every route', async (t) => {
  const { code, stdout } = await bench(['--help'])
  t.is(code, 0)
  for (const name of routeNames) t.true(stdout.includes(name), name)
})
