// What the site has of its own over TypeDoc: names and addresses, how a page is laid out, and the search.
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import {
  Converter,
  DefaultTheme,
  DefaultThemeRenderContext,
  PageEvent,
  RendererEvent,
} from 'typedoc'
import { addLinkedFiles, nameDocument } from './documents.mjs'
import { front } from './front.mjs'
import { noteGroups } from './groups.mjs'
import { inOrder } from './headings.mjs'
import { writeIndex } from './index.mjs'
import { layout } from './layout.mjs'
import { loadMarkdown } from './markdown.mjs'
import { memberSections, modulePage, reference, symbolHeader } from './reference.mjs'
import { SiteRouter } from './router.mjs'

class SiteContext extends DefaultThemeRenderContext {
  constructor(...given) {
    super(...given)
    const { reflectionTemplate } = this
    this.defaultLayout = (template, page) => layout(this, template, page)
    this.indexTemplate = (page) => front(this, page)
    this.members = (model) => memberSections(this, model)
    this.moduleReflection = (model) => modulePage(this, model)
    this.header = (page) => symbolHeader(this, page)
    this.reflectionTemplate = (page) =>
      page.model.isProject() ? reference(this, page) : reflectionTemplate(page)
  }

  /** None: a page opened from a file must not take them from another. */
  get icons() {
    return NO_ICONS
  }
}

const NO_ICONS = new Proxy({}, { get: () => () => undefined })

/** Scripts and data of TypeDoc's that no page asks for. */
const UNUSED = ['main.js', 'search.js', 'navigation.js', 'hierarchy.js', 'icons.js', 'icons.svg']

/** A line that takes longer keeps the colours that it has so far; a next try is sooner done. */
const SLOW_MS = 400

class SiteTheme extends DefaultTheme {
  ContextClass = SiteContext

  constructor(renderer) {
    super(renderer)
    const { markedPlugin } = this
    const highlight = markedPlugin.getHighlighted.bind(markedPlugin)
    markedPlugin.getHighlighted = (...block) => {
      for (let tries = 0; ; tries++) {
        const begin = performance.now()
        const html = highlight(...block)
        if (performance.now() - begin < SLOW_MS || tries === 3) return html
      }
    }
  }

  /** Pages have their own, which need no script. */
  buildNavigation() {
    return []
  }
}

/** As a plugin of TypeDoc's. */
export function load(app) {
  app.renderer.defineTheme('site', SiteTheme)
  app.renderer.defineRouter('site', SiteRouter)
  app.options.setValue('theme', 'site')
  app.options.setValue('router', 'site')
  app.options.setValue('markdownItLoader', loadMarkdown)
  app.converter.on(Converter.EVENT_CREATE_DOCUMENT, (_, document) =>
    nameDocument(document.project, document),
  )
  app.converter.on(Converter.EVENT_RESOLVE_BEGIN, ({ project }) => {
    addLinkedFiles(project)
    for (const line of noteGroups(project)) app.logger.warn(line)
  })
  app.renderer.on(PageEvent.END, (page) => {
    page.contents = inOrder(page.contents)
  })
  app.renderer.on(RendererEvent.END, ({ project, outputDirectory }) => {
    for (const name of UNUSED) rmSync(join(outputDirectory, 'assets', name), { force: true })
    writeIndex(project, app.renderer.router, outputDirectory)
  })
}
