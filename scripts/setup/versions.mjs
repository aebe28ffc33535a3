// As much of version ranges as package.json's engines needs: `^a.b.c` and `>=a.b.c`, joined by `||`.

const numbers = (text) => (text.match(/\d+/g) ?? []).slice(0, 3).map(Number)

/** Negative, zero or positive as `left` is older than, equal to or newer than `right`. */
export function compareVersions(left, right) {
  const [a, b] = [numbers(left), numbers(right)]
  for (let i = 0; i < 3; i += 1) {
    if ((a[i] ?? 0) !== (b[i] ?? 0)) return (a[i] ?? 0) - (b[i] ?? 0)
  }
  return 0
}

export function satisfies(version, range) {
  return range.split('||').some((part) => {
    const wanted = part.trim()
    if (compareVersions(version, wanted) < 0) return false
    return wanted.startsWith('>=') || numbers(version)[0] === numbers(wanted)[0]
  })
}
