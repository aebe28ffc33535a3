import test from 'ava'
import { repositoryFiles, type SourceFile } from './helpers/architecture/files.ts'
import { findCycles } from './helpers/architecture/graph.ts'
import * as common from './helpers/architecture/rules-common.ts'
import * as rust from './helpers/architecture/rules-rust.ts'
import * as typescript from './helpers/architecture/rules-typescript.ts'
import { expandUse } from './helpers/architecture/rust-modules.ts'
import { blankLiterals } from './helpers/architecture/rust-text.ts'
import { importGraph } from './helpers/architecture/typescript-source.ts'

type Rule = (files: SourceFile[]) => string[]

const importCycles: Rule = (files) =>
  findCycles(importGraph(files.filter(common.isTypeScript))).map((way) => `import cycle ${way}`)

const lines = (count: number, line: string): string => `${line}\n`.repeat(count)

interface Case {
  rule: Rule
  /** By path; the rule must name the first of them, once, at `line`. */
  breaks: Record<string, string>
  line?: number
  keeps: Record<string, string>
}

const rules: Record<string, Case> = {
  'no import cycle among TypeScript files': {
    rule: importCycles,
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
    rule: rust.moduleCycles,
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
    rule: rust.moduleCycles,
    breaks: {
      'crates/vmm/src/boot/mod.rs': 'mod paging; pub struct Boot; fn f() { paging::tables() }',
      'crates/vmm/src/boot/paging.rs': 'use super::Boot; pub fn tables() {}',
    },
    keeps: {
      'crates/vmm/src/boot/mod.rs': 'mod paging; fn f() { paging::tables() }',
      'crates/vmm/src/boot/paging.rs': 'use std::super_thing; pub fn tables() {}',
    },
  },
  'the crates below the binding know neither napi nor logging, print nothing and never exit': {
    rule: rust.libraryCalls,
    breaks: { 'crates/vmm/src/lib.rs': 'fn f() {\n  println!("x")\n}' },
    line: 2,
    keeps: {
      'crates/devices/src/lib.rs':
        '// println!\nfn log() {}\n#[cfg(test)]\nfn t() { println!("x") }',
      'crates/node/src/lib.rs': 'use napi::Env;',
    },
  },
  'the crates below the binding depend on what is listed, devices on nothing of the kernel': {
    rule: rust.libraryDependencies,
    breaks: { 'crates/devices/Cargo.toml': '[dependencies]\nkvm-ioctls = "1"' },
    line: 2,
    keeps: {
      'crates/vmm/Cargo.toml':
        '[package]\nversion.workspace = true\n[dependencies]\nkvm-ioctls = "1"\nboot = { path = "../boot" }',
      'crates/node/Cargo.toml': '[dependencies]\nnapi = "3"',
    },
  },
  'what has no descriptor of the kernel forbids unsafe': {
    rule: rust.forbidsUnsafe,
    breaks: { 'crates/boot/src/lib.rs': '// #![forbid(unsafe_code)]\nmod a;' },
    keeps: {
      'crates/boot/src/lib.rs': '//! Values.\n#![forbid(unsafe_code)]\n\nmod a;',
      'crates/vmm/src/lib.rs': 'mod a;',
    },
  },
  'unwrap and expect stand only in tests': {
    rule: rust.unwraps,
    breaks: { 'crates/node/src/lib.rs': 'fn f() {\n\n  g().unwrap();\n}' },
    line: 3,
    keeps: {
      'crates/node/src/lib.rs':
        '/// x.unwrap()\nfn f() { g().unwrap_or(1); }\n#[cfg(test)]\nmod t { fn f() { g().expect("x") } }',
      'crates/vmm/tests/a.rs': 'fn f() { g().unwrap() }',
    },
  },
  'unsafe stands only in the named modules': {
    rule: (files) => rust.unsafeCode(files),
    breaks: { 'crates/vmm/src/lib.rs': '\n#![allow(unsafe_code)]' },
    line: 2,
    keeps: {
      'crates/vmm/src/lib.rs':
        '//! unsafe\n#![deny(unsafe_op_in_unsafe_fn)]\n#[allow(unsafe_code)]\nmod vcpu;',
      'crates/vmm/src/vcpu.rs': 'unsafe fn f() {}',
    },
  },
  'the lints deny unsafe': {
    rule: rust.unsafeLints,
    breaks: { 'crates/vmm/Cargo.toml': '[package]', 'Cargo.toml': 'unsafe_code = "deny"' },
    keeps: {
      'crates/vmm/Cargo.toml': '[lints]\nworkspace = true',
      'Cargo.toml': 'unsafe_code = "deny"',
    },
  },
  "src/ imports Node's built-ins and its own files, and its folders import downwards": {
    rule: typescript.sourceImports,
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
  'a folder holds what one can overlook': {
    rule: common.folderBudgets,
    breaks: Object.fromEntries(Array.from({ length: 16 }, (_, index) => [`src/a/${index}.ts`, ''])),
    keeps: {
      ...Object.fromEntries(Array.from({ length: 15 }, (_, index) => [`src/a/${index}.ts`, ''])),
      'src/a/b/16.ts': '',
      'src/a/17.md': '',
    },
  },
  'src/ imports no package': {
    rule: typescript.sourceImports,
    breaks: { 'src/a.ts': `export { x } from 'lodash'` },
    line: 1,
    keeps: { 'src/a.ts': `export { x } from './b.js'`, 'src/b.ts': 'export const x = 1' },
  },
  'only src/native/native.ts and src/native/seam.ts name the addon': {
    rule: typescript.addonLoads,
    breaks: { 'src/a.ts': `const b = 1\nimport type { NativeMachine } from '../index.js'` },
    line: 2,
    keeps: {
      'src/native/native.ts': `import binding from '../../native.cjs'`,
      'src/native/seam.ts': `export type { A } from '../../index.js'`,
      'src/cli/a.ts': `import '../index.js'`,
    },
  },
  'only src/native/errors.ts throws': {
    rule: typescript.throwStatements,
    breaks: { 'src/a.ts': 'function f() {\n  throw new Error()\n}' },
    line: 2,
    keeps: {
      'src/a.ts': `// throw it\nconst x = 'throw x'`,
      'src/native/errors.ts': 'throw new Error()',
    },
  },
  'files keep to their budget': {
    rule: common.fileBudgets,
    breaks: { 'src/a.ts': lines(401, '//') },
    line: 401,
    keeps: {
      'src/a.ts': lines(400, '//'),
      'crates/vmm/tests/a.rs': lines(600, '//'),
      'a.md': lines(999, ''),
    },
  },
  'TypeScript functions keep to their budget': {
    rule: common.functionBudgets,
    breaks: { 'src/a.ts': `\nconst f = () => {\n${lines(69, '  g()')}}` },
    line: 2,
    keeps: { 'src/a.ts': `const f = () => {\n${lines(68, '  g()')}}` },
  },
  'Rust functions keep to their budget': {
    rule: common.functionBudgets,
    breaks: {
      'crates/vmm/src/a.rs': `\nfn f<'a>(x: [u8; 4]) -> &'a str {\n${lines(69, "  g('{');")}}`,
    },
    line: 2,
    keeps: {
      'crates/vmm/src/a.rs': `fn f() {\n${lines(68, '  g("}"); // {')}}\nfn g(); ${lines(99, '//')}`,
    },
  },
  'nothing is left over': {
    rule: common.leftovers,
    breaks: { 'a.rs': `\n// ${'FIX'}ME: later` },
    line: 2,
    keeps: { 'a.rs': '// to do it' },
  },
  'there are no runtime dependencies': {
    rule: common.runtimeDependencies,
    breaks: { 'package.json': '{ "dependencies": { "lodash": "4" } }' },
    keeps: { 'package.json': '{ "devDependencies": { "ava": "7" } }' },
  },
}

const filesOf = (texts: Record<string, string>): SourceFile[] =>
  Object.entries(texts).map(([path, text]) => ({ path, text }))

const repository = repositoryFiles()

const held = new Set<Rule>()

for (const [name, { rule, breaks, line, keeps }] of Object.entries(rules)) {
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

test('literals and comments are blanked, lifetimes and code are not', (t) => {
  const blank = (text: string): string => blankLiterals(text).replace(/ +/g, ' ')
  t.is(blank(`a /* /* } */ " */ b`), 'a b')
  t.is(blank(`a "\\"}" b'{' b`), 'a b')
  t.is(blank(`a r#"}"{"# b`), 'a b')
  t.is(blank(`fn f<'a>(x: &'a str) { '\\'' }`), `fn f<'a>(x: &'a str) { }`)
  t.is(blank(`for x in bar"" {`), 'for x in bar {')
})
