// How Markdown becomes a page, where TypeDoc's way leaves something out.

/** As `markdownItLoader`. */
export function loadMarkdown(parser) {
  // Names of files are no hosts, though .md and .sh are countries.
  parser.linkify.set({ fuzzyLink: false, fuzzyEmail: false })
  parser.core.ruler.push('site-headings', ({ tokens }) => {
    tokens.forEach((token, index) => {
      if (token.type === 'heading_open') nameCode(tokens[index + 1])
    })
  })
  const { fence } = parser.renderer.rules
  parser.renderer.rules.fence = (tokens, index, ...rest) => {
    const html = fence(tokens, index, ...rest)
    if (tokens[index].info !== 'text output') return html
    return `<div class="output"><span class="says">Output</span>${html}</div>\n`
  }
  parser.renderer.rules.table_open = () => '<div class="wide"><table>\n'
  parser.renderer.rules.table_close = () => '</table></div>\n'
  for (const rule of ['th_open', 'th_close'])
    parser.renderer.rules[rule] = (tokens, index, options, _, renderer) => {
      // The corner of a table with headings on two sides is the heading of neither.
      const { content } = tokens[rule === 'th_open' ? index + 1 : index - 1]
      if (content === '') tokens[index].tag = 'td'
      return renderer.renderToken(tokens, index, options)
    }
}

/** Code counts in the anchor of a heading; TypeDoc takes text alone, and looks into what has children. */
function nameCode({ children }) {
  for (const token of children)
    if (token.type === 'code_inline')
      token.children = [{ type: 'text', content: token.content, children: null }]
}
