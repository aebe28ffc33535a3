// npm run docs: guide, cookbook, pages and reference as one static site. It needs no network, neither to be made nor to
// be read, and opens from a file as from a server.
//
//   node scripts/site/main.mjs [FOLDER]     into .cache/site without one
import { join, resolve } from 'node:path'
import { Application } from 'typedoc'
import { root } from '../run.mjs'
import { load } from './theme.mjs'

const [given = '.cache/site'] = process.argv.slice(2)
const out = resolve(given)

const app = await Application.bootstrapWithPlugins({
  options: join(root, 'typedoc.json'),
  logLevel: 'Warn',
})
load(app)

// Made whatever is wrong, so that one can look at the rest of it.
const project = await app.convert()
if (project !== undefined) {
  app.validate(project)
  await app.generateDocs(project, out)
}
if (project === undefined || app.logger.hasErrors() || app.logger.hasWarnings()) {
  console.error('error: what is above must be mended')
  process.exitCode = 1
} else console.log(`The site is in ${given}: open ${join(given, 'index.html')}`)
