// The Markdown files of the site: where each stands in it, under which title, in which order.
import { readFileSync, readdirSync, statSync } from 'node:fs'
import { basename, extname, join, relative } from 'node:path'
import { DocumentReflection, ReflectionKind } from 'typedoc'
import { root } from '../run.mjs'
import { once } from './once.mjs'

/** Pages by section, in the order in which one needs them. What is not listed comes last in the first. */
const PAGES = {
  Using: [
    ...['index', 'README', 'runtimes', 'coming-from', 'boot', 'devices', 'exits', 'snapshots'],
    ...['debugging', 'crashes', 'errors', 'native', 'definition', 'manager', 'fleet'],
    ...['performance', 'security', 'threat-model', 'glossary'],
  ],
  Inside: [
    'ARCHITECTURE',
    'stop',
    'two-kvms',
    'guest/README',
    'CONTRIBUTING',
    'release',
    'CHANGELOG',
  ],
}

/** Languages of files that are linked and are no Markdown, by what highlights them. */
const LANGUAGES = { '.mjs': 'js', '.S': 'asm', '.h': 'c', '.rs': 'rust', '.ld': 'text' }

const paths = new WeakMap()

/** The path of a document from the root of the repository. */
export const pathOf = (document) => paths.get(document)

/** The address of a page in the site, without extension, by the path of what it shows. */
export function addressOf(path) {
  const [, folder, name] = /^docs\/(guide|cookbook)\/(.*)\.md$/.exec(path) ?? []
  if (folder !== undefined) return `${folder}/${name === 'README' ? 'index' : name}`
  if (path === 'README.md') return 'pages/overview'
  if (path === 'docs/README.md') return 'pages/index'
  if (path === 'guest/README.md') return 'pages/guests'
  if (path.endsWith('.md')) return `pages/${basename(path, '.md').toLowerCase()}`
  return `files/${path}`
}

/** Gives a document its path, and the title that its first heading says. */
export function nameDocument(project, document) {
  const path = relative(root, project.files.getReflectionPath(document))
  paths.set(document, path)
  const text = readFileSync(`${root}/${path}`, 'utf8')
  const [, title = path] = /^# (.*)$/m.exec(text) ?? []
  // Its heading is the name of the package, which says nothing beside others.
  document.name = path === 'README.md' ? 'Overview' : title.replaceAll('`', '')
}

/** Adds a page for each file or folder that a document links to and that is neither Markdown nor a picture. */
export function addLinkedFiles(project) {
  const media = [...project.files.getMediaPaths()]
  for (const file of media.filter((each) => !/\.(md|png|svg)$/.test(each)))
    if (statSync(file).isDirectory()) addFolder(project, file)
    else addFile(project, file)
}

function addFile(project, file) {
  const path = relative(root, file)
  const language = LANGUAGES[extname(path)] ?? extname(path).slice(1)
  const fence = `\`\`\`${language}\n${readFileSync(file, 'utf8')}\`\`\`\n`
  addPage(project, file, [{ kind: 'code', text: fence }])
}

/** A folder shows its programs, each with a page. */
function addFolder(project, folder) {
  const names = readdirSync(folder).filter((name) => name.endsWith('.ts'))
  const lines = names.flatMap((name) => {
    const path = join(folder, name)
    const { target } = project.files.registerAbsolute(path)
    if (project.files.resolve(target, project) === path) addFile(project, path)
    return [
      { kind: 'text', text: `- [${name}](` },
      { kind: 'relative-link', text: name, target },
      { kind: 'text', text: ')\n' },
    ]
  })
  addPage(project, folder, lines)
}

function addPage(project, file, parts) {
  const path = relative(root, file)
  const content = [{ kind: 'text', text: `# ${path}\n\n` }, ...parts]
  const document = new DocumentReflection(path, project, content, {})
  paths.set(document, path)
  project.addChild(document)
  project.registerReflection(document, undefined, file)
}

/** Sections of documents with their pages in order: guide, cookbook, then those of `PAGES`. */
export const sectionsOf = once((project) => {
  const all = project.documents ?? []
  const inFolder = (folder) =>
    all
      .filter((each) => pathOf(each).startsWith(`docs/${folder}/`))
      .toSorted((a, b) => order(pathOf(a)).localeCompare(order(pathOf(b))))
  const rest = all.filter((each) => /^((docs|guest)\/)?[\w-]+\.md$/.test(pathOf(each)))
  return {
    Guide: inFolder('guide'),
    Cookbook: inFolder('cookbook'),
    Pages: Object.entries(PAGES).flatMap(([title, names]) =>
      rest
        .filter((each) => placeOf(each) === title)
        .toSorted((a, b) => rank(names, a) - rank(names, b)),
    ),
  }
})

/** The index of a folder first. */
const order = (path) => path.replace('README.md', '')

const nameOf = (document) =>
  pathOf(document)
    .replace('docs/README', 'index')
    .replaceAll(/^docs\/|\.md$/g, '')

const rank = (names, document) => {
  const index = names.indexOf(nameOf(document))
  return index < 0 ? names.length : index
}

/** The part of the pages in which a document stands. */
export const placeOf = (document) => (PAGES.Inside.includes(nameOf(document)) ? 'Inside' : 'Using')

export const isDocument = (model) => model.kindOf(ReflectionKind.Document)
