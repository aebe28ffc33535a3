// Lines of src/ that the specs reach, through src/ itself or through dist/.
import { copyFileSync, cpSync, readFileSync, readdirSync, rmSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { must, root } from '../run.mjs'

/**
 * A copy of the tree, so that its own dist/ and addon stay as users get them. In the copy dist/ leads back to src/,
 * because the command line is tested as it is installed, and the addon is the one that is given.
 */
export function stageTree(tree, addon) {
  rmSync(tree, { recursive: true, force: true })
  const list = must(['git', 'ls-files', '--cached', '--others', '--exclude-standard', '-z'])
  for (const file of list.split('\0').filter(Boolean)) cpSync(join(root, file), join(tree, file))
  symlinkSync(join(root, 'node_modules'), join(tree, 'node_modules'))
  copyFileSync(addon, join(tree, 'vmexit.linux-x64-gnu.node'))
  const compile = ['node_modules/.bin/tsc', '-p', 'tsconfig.build.json', '--sourceMap']
  must([...compile, '--inlineSources'], { cwd: tree })
}

/** Files of which nothing is left when they are compiled. */
function typesOnly(tree) {
  const files = readdirSync(join(tree, 'src'), { recursive: true })
  const left = (file) => readFileSync(join(tree, 'dist', file.replace(/\.ts$/, '.js')), 'utf8')
  const isEmpty = (file) => /^export \{\};?\s*(\/\/# .*\s*)?$/.test(left(file))
  return files.filter((file) => file.endsWith('.ts') && isEmpty(file))
}

/** A percentage. */
export function typescriptLines(tree, profiles, reports) {
  const report = ['report', '--all', '--src', 'src', '--include', 'src/**']
  const left = typesOnly(tree).flatMap((file) => ['--exclude', `src/${file}`])
  const from = ['--exclude-after-remap', '--temp-directory', profiles]
  const to = ['--reports-dir', reports, '--reporter', 'json-summary']
  must(['node_modules/.bin/c8', ...report, ...left, ...from, ...to], { cwd: tree })
  const summary = readFileSync(join(reports, 'coverage-summary.json'), 'utf8')
  return JSON.parse(summary).total.lines.pct
}
