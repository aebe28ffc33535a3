// Addresses in the site, and anchors that are those of a Git host.
import { BaseRouter, PageKind, ReflectionKind, Slugger } from 'typedoc'
import { anchorOf } from '../docs/anchor.mjs'
import { addressOf, isDocument, pathOf } from './documents.mjs'

/** Anchors of headings as a Git host makes them, so that a link leads to the same heading in both. */
export class HeadingSlugger extends Slugger {
  serialize(value) {
    return anchorOf(value) || '_'
  }
}

export class SiteRouter extends BaseRouter {
  buildPages(project) {
    this.usedFileNames = new Set()
    this.sluggers = new Map([[project, new Slugger(this.sluggerConfiguration)]])
    // Both at the root: addresses from a page are counted from that of its model.
    const pages = [
      { url: 'index.html', kind: PageKind.Index, model: project },
      { url: 'reference.html', kind: PageKind.Reflection, model: project },
    ]
    this.fullUrls.set(project, 'reference.html')
    for (const child of project.childrenIncludingDocuments ?? []) this.buildChildPages(child, pages)
    return pages
  }

  buildChildPages(target, pages) {
    super.buildChildPages(target, pages)
    if (isDocument(target)) this.sluggers.set(target, new HeadingSlugger({ lowercase: true }))
  }

  getIdealBaseName(target) {
    if (isDocument(target)) return addressOf(pathOf(target))
    const module = target.kindOf(ReflectionKind.Module) ? target : target.parent
    const folder = `reference/${module.name.replace(/^@vmexit\//, '').replaceAll('/', '-')}`
    return module === target ? folder : `${folder}/${this.getUrlSafeName(target.name)}`
  }
}
