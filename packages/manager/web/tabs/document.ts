/**
 * The document that a terminal makes its elements with. It writes style sheets and `style`
 * attributes, which the page's content security policy does not let through, as guests' text is
 * near: here sheets become constructed ones, and attributes are set as properties.
 */
export function strictDocument(sheets: Set<CSSStyleSheet>): Document {
  const createElement = strictCreate(sheets)
  return new Proxy(document, {
    get(target, key) {
      if (key === 'createElement') return createElement
      const value: unknown = Reflect.get(target, key, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
    set: (target, key, value) => Reflect.set(target, key, value, target),
  })
}

/**
 * Does something while the page's own document makes elements that way, too: a part of the terminal
 * asks that one, whatever it was told.
 */
export function strictly(sheets: Set<CSSStyleSheet>, doing: () => void): void {
  const createElement = strictCreate(sheets)
  Object.defineProperty(document, 'createElement', { value: createElement, configurable: true })
  try {
    doing()
  } finally {
    Reflect.deleteProperty(document, 'createElement')
  }
}

const strictCreate =
  (sheets: Set<CSSStyleSheet>) =>
  (name: string): HTMLElement =>
    name === 'style' ? constructed(sheets) : plain(name)

const create = (name: string): HTMLElement =>
  Document.prototype.createElement.call(document, name) as HTMLElement

function plain(name: string): HTMLElement {
  const element = create(name)
  const own = element.setAttribute.bind(element)
  element.setAttribute = (key, value) => {
    if (key === 'style') element.style.cssText = value
    else own(key, value)
  }
  return element
}

/** An element whose text is a style sheet's. */
function constructed(sheets: Set<CSSStyleSheet>): HTMLElement {
  const element = create('span')
  element.hidden = true
  const sheet = new CSSStyleSheet()
  sheets.add(sheet)
  document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet]
  Object.defineProperty(element, 'textContent', {
    get: () => '',
    set: (text: string) => {
      sheet.replaceSync(text)
    },
  })
  return element
}

/** Takes the style sheets of a terminal away. */
export function dropSheets(sheets: ReadonlySet<CSSStyleSheet>): void {
  document.adoptedStyleSheets = document.adoptedStyleSheets.filter((each) => !sheets.has(each))
}
