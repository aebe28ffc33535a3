// The page of the manager's web screen: its own files compiled into dist/page, and beside them, as they are, the files
// of others that it loads, with their licences. Nothing is bundled: browsers load modules.
import { cpSync, mkdirSync, readdirSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { must, root } from '../run.mjs'

const page = join(root, 'packages/manager/web')
const dist = join(root, 'packages/manager/dist/page')

/** From a folder in node_modules to one in dist/page/vendor: files and folders, by their names there and here. */
const VENDOR = [
  [
    '@xterm/xterm',
    'xterm',
    { 'lib/xterm.mjs': 'xterm.mjs', 'css/xterm.css': 'xterm.css', LICENSE: 'LICENSE' },
  ],
  [
    '@xterm/addon-fit',
    'xterm',
    { 'lib/addon-fit.mjs': 'addon-fit.mjs', LICENSE: 'LICENSE.addon-fit' },
  ],
  [
    '@novnc/novnc',
    'novnc',
    {
      core: 'core',
      vendor: 'vendor',
      'LICENSE.txt': 'LICENSE.txt',
      AUTHORS: 'AUTHORS',
      docs: 'docs',
    },
  ],
  [
    'uplot',
    'uplot',
    {
      'dist/uPlot.esm.js': 'uPlot.esm.js',
      'dist/uPlot.min.css': 'uPlot.min.css',
      LICENSE: 'LICENSE',
    },
  ],
]

/** Of documents only the licences. */
const isWanted = (path) =>
  statSync(path).isDirectory() || !/\/docs\//.test(path) || /\/LICENSE[^/]*$/.test(path)

/** Writes dist/page. */
export function buildPage() {
  must(['node_modules/.bin/tsc', '-p', 'packages/manager/web/tsconfig.json'])
  for (const name of readdirSync(page)) {
    if (/\.(html|css|svg|png)$/.test(name)) cpSync(join(page, name), join(dist, name))
  }
  for (const [from, to, files] of VENDOR) {
    for (const [there, here] of Object.entries(files)) {
      const target = join(dist, 'vendor', to, here)
      mkdirSync(dirname(target), { recursive: true })
      const source = join(root, 'node_modules', from, there)
      cpSync(source, target, { recursive: true, filter: isWanted })
    }
  }
}
