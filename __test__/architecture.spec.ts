import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import test from 'ava'

import { repositoryFiles, type SourceFile } from './helpers/architecture/files.ts'
import { fleetArrows } from './helpers/architecture/fleet.ts'
import { managerArrows } from './helpers/architecture/manager.ts'
import * as rules from './helpers/architecture/rules.ts'
import { expandUse, shippedCode } from './helpers/architecture/rust.ts'

type Rule = (files: SourceFile[]) => string[]

const lines = (count: number, line: string): string => `${line}\n`.repeat(count)

const texts = (count: number, path: (index: number) => string): Record<string, string> =>
  Object.fromEntries(Array.from({ length: count }, (_, index) => [path(index), '']))

/** A crate in which each module uses the next. */
const chain = (count: number): Record<string, string> =>
  Object.fromEntries(
    Array.from({ length: count }, (_, index) => [
      `crates/a/src/m${index}.rs`,
      index + 1 < count ? `use crate::m${index + 1}::X;` : '',
    ]),
  )

const manager = 'packages/manager/src'

interface Case {
  rule: Rule
  /** By path; the rule must name the first of them, once, at `line`. */
  breaks: Record<string, string>
  line?: number
  keeps: Record<string, string>
}

const cases: Record<string, Case> = {
  'no import cycle among TypeScript files': {
    rule: rules.importCycles,
    breaks: {
      'src/a.ts': `import type { B } from './b.ts'`,
      'src/b.ts': `export * from './c.ts'`,
      'src/c.ts': `await import('./a.ts')`,
    },
    keeps: {
      'src/a.ts': `import './b.ts'\nimport './c.ts'`,
      'src/b.ts': `import './c.ts'`,
      'src/c.ts': '',
    },
  },
  'no cycle among Rust modules': {
    rule: rules.moduleCycles,
    breaks: {
      'crates/vmm/src/lib.rs': 'mod a; mod b; pub use a::Thing;',
      'crates/vmm/src/a.rs': 'use crate::{b::Other, c};\npub struct Thing;',
      'crates/vmm/src/b.rs': 'fn f() -> crate::Thing { crate::Thing }',
    },
    keeps: {
      'crates/vmm/src/lib.rs': 'mod a; mod b; pub use a::Thing;\n#[cfg(test)]\nmod checks;',
      'crates/vmm/src/a.rs':
        '// use crate::b;\n#[cfg(test)]\nmod tests { use crate::b; }\nstruct Thing;',
      'crates/vmm/src/b.rs': 'use super::Thing; fn f(t: Thing) {}',
      'crates/vmm/src/checks.rs': 'use crate::{a, b}; fn f() { super::g() }',
    },
  },
  'a child module and its parent make a cycle': {
    rule: rules.moduleCycles,
    breaks: {
      'crates/vmm/src/boot/mod.rs': 'mod paging; pub struct Boot; fn f() { paging::tables() }',
      'crates/vmm/src/boot/paging.rs': 'use super::Boot; pub fn tables() {}',
    },
    keeps: {
      'crates/vmm/src/boot/mod.rs': 'mod paging; fn f() { paging::tables() }',
      'crates/vmm/src/boot/paging.rs': 'use std::super_thing; pub fn tables() {}',
    },
  },
  'no circle of method calls among Rust files': {
    rule: rules.moduleCycles,
    breaks: {
      'crates/vmm/src/go.rs':
        'pub struct Go<T> {\n    a: T,\n}\n\nimpl<T> Go<T> {\n    pub fn go(&mut self) {\n        self.ask();\n    }\n}\n',
      'crates/vmm/src/questions.rs':
        'use crate::go::Go;\n\nimpl<T> Go<T> {\n    pub(crate) fn ask(&self) {}\n}\n',
    },
    keeps: {
      'crates/vmm/src/go.rs':
        'pub struct Go<T> {\n    a: T,\n}\n\nimpl<T> Go<T> {\n    pub fn go(&mut self) {\n        other.answer(); // self.ask()\n    }\n}\n',
      'crates/vmm/src/questions.rs':
        'use crate::go::Go;\n\nimpl<T> Go<T> {\n    pub(crate) fn ask(&self) {\n        self.go()\n    }\n}\n',
      'crates/vmm/src/other.rs': 'pub struct Other;\n\nimpl Other {\n    fn ask(&self) {}\n}\n',
    },
  },
  'a crate keeps to its budget of layers': {
    rule: rules.moduleLayers,
    breaks: chain(9),
    keeps: { ...chain(8), 'crates/a/src/m1/x.rs': 'use crate::m1::Y;' },
  },
  'folders keep to their budget': {
    rule: rules.folderBudgets,
    breaks: texts(16, (index) => `scripts/a/${index}.mjs`),
    keeps: {
      ...texts(15, (index) => `scripts/a/${index}.mjs`),
      ...texts(16, (index) => `guest/${index}.S`),
      'scripts/a/a.md': '',
      'scripts/a/b/b.mjs': '',
    },
  },
  'the crates below the binding depend on what is listed, devices on nothing of the kernel': {
    rule: rules.libraryDependencies,
    breaks: { 'crates/devices/Cargo.toml': '[dependencies]\nkvm-ioctls = "1"' },
    keeps: {
      'crates/vmm/Cargo.toml':
        '[package]\nversion.workspace = true\n[dependencies]\nkvm-ioctls = "1"\nboot = { path = "../boot" }',
      'crates/node/Cargo.toml': '[dependencies]\nnapi = "3"',
    },
  },
  'what has no descriptor of the kernel forbids unsafe': {
    rule: rules.forbidsUnsafe,
    breaks: { 'crates/boot/src/lib.rs': '// #![forbid(unsafe_code)]\nmod a;' },
    keeps: {
      'crates/boot/src/lib.rs': '//! Values.\n#![forbid(unsafe_code)]\n\nmod a;',
      'crates/vmm/src/lib.rs': 'mod a;',
    },
  },
  'unsafe stands only in the named files': {
    rule: rules.unsafeCode,
    breaks: { 'crates/vmm/src/lib.rs': '\n#![allow(unsafe_code)]' },
    line: 2,
    keeps: {
      'crates/vmm/src/lib.rs':
        '//! #![allow(unsafe_code)]\n#![deny(unsafe_op_in_unsafe_fn)]\n#[allow(unused)]\nmod vcpu;',
      'crates/vmm/src/kvm/vcpu.rs': '#![allow(unsafe_code)]',
    },
  },
  'the lints deny unsafe': {
    rule: rules.unsafeLints,
    breaks: { 'crates/vmm/Cargo.toml': '[package]', 'Cargo.toml': 'unsafe_code = "deny"' },
    keeps: {
      'crates/vmm/Cargo.toml': '[lints]\nworkspace = true',
      'Cargo.toml': 'unsafe_code = "deny"',
    },
  },
  "src/ imports Node's built-ins and its own files, and its folders import downwards": {
    rule: rules.sourceImports,
    breaks: {
      'src/native/a.ts': `import 'node:fs'\nimport '../results/b.ts'`,
      'src/results/b.ts': '',
    },
    line: 2,
    keeps: {
      'src/machine/a.ts': `import 'node:fs'\nimport '../native/b.ts'\nconst x = 'lodash'`,
      'src/native/b.ts': '',
      'src/index.ts': `export * from './machine/a.ts'`,
      'src/cli/main.ts': `import '../machine/a.ts'`,
      '__test__/a.spec.ts': `import 'ava'`,
    },
  },
  'src/ imports no package': {
    rule: rules.sourceImports,
    breaks: { 'src/a.ts': `export { x } from 'lodash'` },
    line: 1,
    keeps: { 'src/a.ts': `export { x } from './b.js'`, 'src/b.ts': 'export const x = 1' },
  },
  'only src/native/native.ts and src/native/seam.ts name the addon': {
    rule: rules.addonLoads,
    breaks: { 'src/a.ts': `const b = 1\nimport type { NativeMachine } from '../index.js'` },
    line: 2,
    keeps: {
      'src/native/native.ts': `import binding from '../../native.cjs'`,
      'src/native/seam.ts': `export type { A } from '../../index.js'`,
      'src/cli/a.ts': `import '../index.js'`,
    },
  },
  'only src/native/errors.ts throws': {
    rule: rules.throwStatements,
    breaks: { 'src/a.ts': 'function f() {\n  throw new Error()\n}' },
    line: 2,
    keeps: {
      'src/a.ts': `// throw it\nconst x = 'throw x'`,
      'src/native/errors.ts': 'throw new Error()',
    },
  },
  "the manager's front ends know the supervisor's interface, and nothing else of it": {
    rule: managerArrows,
    breaks: {
      [`${manager}/http/a.ts`]: `import 'ws'\nimport {\n  a,\n} from '../supervisor/all.ts'`,
    },
    line: 2,
    keeps: {
      [`${manager}/http/server.ts`]:
        `import 'node:http'\nimport { WebSocketServer } from 'ws'\nimport './routes/a.ts'\n` +
        `import type { Supervisor } from '../supervisor/interface.ts'\n` +
        `import '../supervisor/errors.ts'\nimport '../supervisor/front-end.ts'`,
      [`${manager}/daemon/index.ts`]: `import '../http/server.ts'\nimport '../supervisor/all.ts'`,
    },
  },
  "libvirt's front end does not reach the store": {
    rule: managerArrows,
    breaks: { [`${manager}/libvirt/rpc/a.ts`]: `export * from '../../store/a.ts'` },
    line: 1,
    keeps: { [`${manager}/supervisor/a.ts`]: `import '../store/a.ts'` },
  },
  'only the machine process of the manager opens /dev/kvm': {
    rule: managerArrows,
    breaks: { [`${manager}/supervisor/a.ts`]: `\nimport { VirtualMachine } from 'vmexit'` },
    line: 2,
    keeps: {
      [`${manager}/supervisor/a.ts`]: `import type { MachineDefinition } from 'vmexit'`,
      [`${manager}/machine/a.ts`]: `import { VirtualMachine } from 'vmexit'`,
    },
  },
  'the daemon does not import what opens /dev/kvm': {
    rule: managerArrows,
    breaks: { [`${manager}/daemon/a.ts`]: `await import('../machine/main.ts')` },
    line: 1,
    keeps: { [`${manager}/machine/main.ts`]: `import '../wire/peer.ts'` },
  },
  "the manager's command line knows the client": {
    rule: managerArrows,
    breaks: { [`${manager}/cli/a.ts`]: `import '../supervisor/machines.ts'` },
    line: 1,
    keeps: {
      [`${manager}/cli/a.ts`]: `import '../client/index.ts'\nimport '../daemon/index.ts'`,
    },
  },
  'the manager imports no package but those on purpose': {
    rule: managerArrows,
    breaks: { [`${manager}/wire/a.ts`]: `import 'lodash'` },
    line: 1,
    keeps: { [`${manager}/libvirt/xml/a.ts`]: `import { XMLParser } from 'fast-xml-parser'` },
  },
  'every room of the manager has its row': {
    rule: managerArrows,
    breaks: { [`${manager}/attic/a.ts`]: `import './b.ts'` },
    line: 1,
    keeps: { 'packages/manager/__test__/a.spec.ts': `import '../src/attic/b.ts'` },
  },
  "the fleet's jobs and stores open no machine, and its children know no queue": {
    rule: fleetArrows,
    breaks: { 'packages/fleet/src/child/main.ts': `import 'vmexit'\nimport 'bullmq'` },
    line: 2,
    keeps: {
      'packages/fleet/src/child/main.ts': `import 'vmexit'\nimport '../job/job.ts'`,
      'packages/fleet/src/store/redis.ts': `import { Redis } from 'ioredis'`,
      'packages/fleet/src/engines/queue/a.ts': `import '../../child/pool.ts'\nimport 'bullmq'`,
    },
  },
  'files keep to their budget': {
    rule: rules.fileBudgets,
    breaks: { 'src/a.ts': lines(401, '//') },
    line: 401,
    keeps: {
      'src/a.ts': lines(400, '//'),
      'crates/vmm/tests/a.rs': lines(600, '//'),
      'packages/manager/__test__/a.spec.ts': lines(600, '//'),
      'a.md': lines(999, ''),
    },
  },
  "text of guests is no markup in the manager's page": {
    rule: rules.pageMarkup,
    breaks: { 'packages/manager/web/a.ts': `\nrow.innerHTML = name` },
    line: 2,
    keeps: {
      'packages/manager/web/a.ts': 'row.textContent = name',
      'src/a.ts': 'const innerHTML = 1',
    },
  },
  'nothing is left over': {
    rule: rules.leftovers,
    breaks: { 'a.rs': `\n// ${'FIX'}ME: later` },
    line: 2,
    keeps: { 'a.rs': '// to do it' },
  },
}

const filesOf = (contents: Record<string, string>): SourceFile[] =>
  Object.entries(contents).map(([path, text]) => ({ path, text }))

const repository = repositoryFiles()

const held = new Set<Rule>()

for (const [name, { rule, breaks, line, keeps }] of Object.entries(cases)) {
  // Two samples may share a rule; the repository needs it once.
  if (!held.has(rule)) {
    test(`${name}: this repository`, (t) => {
      t.is(rule(repository).join('\n'), '')
    })
  }
  held.add(rule)

  test(`${name}: the rule finds a violation and no more`, (t) => {
    const found = rule(filesOf(breaks))
    const [path = ''] = Object.keys(breaks)
    t.is(found.length, 1, found.join('\n'))
    if (line !== undefined) t.true(found[0]?.startsWith(`${path}:${line}: `), found[0])
    t.deepEqual(rule(filesOf(keeps)), [])
  })
}

test('the repository is read at all', (t) => {
  const paths = repository.map(({ path }) => path)
  t.true(paths.includes('package.json'))
  t.true(paths.includes('crates/vmm/src/lib.rs'))
  t.false(paths.some((path) => path.startsWith('node_modules/') || path === 'index.d.ts'))
})

test('a use tree is expanded', (t) => {
  t.deepEqual(expandUse('crate::{a::{self, b as c}, d::*}'), [
    [['crate', 'a'], 'a'],
    [['crate', 'a', 'b'], 'c'],
    [['crate', 'd', '*'], '*'],
  ])
})

test('comments, literals and tests are no code, lifetimes are', (t) => {
  const code = (text: string): string => shippedCode(text).replace(/ +/g, ' ').trim()
  t.is(code(`a /* } " */ b // c`), 'a b')
  t.is(code(`a "\\"}" b'{' b`), 'a b b')
  t.is(code(`a r#"}"{"# b`), 'a b')
  t.is(code(`fn f<'a>(x: &'a str) { '\\'' }`), `fn f<'a>(x: &'a str) { }`)
  t.is(code('a\n#[cfg(test)]\nmod tests {\n    x();\n}\n#[cfg(test)]\nmod more;\nb'), 'a\n\n\nb')
})

test('the circle of methods that was: run, ask and post', (t) => {
  const [run, ask, post] = ['run', 'ask', 'post'].map((name) => `crates/vmm/src/${name}.rs`)
  const file = (calls: string, uses: string, method: string): string =>
    `${uses}\nimpl Run<'_> {\n    pub(crate) fn ${method}(&mut self) -> Result<Next> {\n        self.${calls}(exit)\n    }\n}\n`
  const files = filesOf({
    [run!]: `pub(crate) struct Run<'a> {\n    a: &'a u8,\n}\n${file('post', '', 'go')}`,
    [ask!]: file('flush_before', 'use crate::run::{Next, Run, handler_failed};', 'leave'),
    [post!]: file('leave', 'use crate::run::{Next, Run};', 'post'),
  })
  t.deepEqual(rules.moduleCycles(files), [
    'crates/vmm: module cycle crate::run → crate::post → crate::run',
    'crates/vmm: module cycle crate::run → crate::post → crate::ask → crate::run',
  ])
})

test('the linters hold functions to their budget', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'vmexit-lint-'))
  const body = (count: number): string => `export const f = () => {\n${lines(count, '  g()')}}\n`
  writeFileSync(join(folder, 'long.mjs'), body(69))
  writeFileSync(join(folder, 'short.mjs'), body(68))
  const lint = (file: string): string =>
    spawnSync('node_modules/.bin/oxlint', ['-c', '.oxlintrc.json', join(folder, file)], {
      encoding: 'utf8',
    }).stdout
  t.regex(lint('long.mjs'), /max-lines-per-function/)
  t.notRegex(lint('short.mjs'), /max-lines-per-function/)
  rmSync(folder, { recursive: true })
  const text = (path: string): string => repository.find((file) => file.path === path)?.text ?? ''
  t.regex(text('clippy.toml'), /^too-many-lines-threshold = 70$/m)
  const names = ['too_many_lines', 'unwrap_used', 'expect_used', 'print_stdout', 'print_stderr']
  for (const name of [...names, 'dbg_macro', 'exit', 'disallowed_methods']) {
    t.true(text('Cargo.toml').includes(`\n${name} = "deny"\n`), name)
  }
})
