// The levels of headings: TypeDoc's stand for sizes, and a reader who moves by headings misses those that are skipped.

/** A page in which no heading is more than one level below the one before it; styles go by `data-size`. */
export function inOrder(html) {
  let level = 0
  const open = []
  return html.replaceAll(/<(\/?)h([1-6])\b([^>]*)>/g, (_, slash, size, rest) => {
    if (slash) return `</h${open.pop() ?? size}>`
    level = Math.min(Number(size), level + 1)
    open.push(level)
    return `<h${level} data-size="${size}"${rest}>`
  })
}
