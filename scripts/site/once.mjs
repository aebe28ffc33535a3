/** Makes a function of an object find its answer once for each. */
export function once(make) {
  const known = new WeakMap()
  return (of) => {
    if (!known.has(of)) known.set(of, make(of))
    return known.get(of)
  }
}
