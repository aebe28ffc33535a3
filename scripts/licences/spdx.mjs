// As much of SPDX licence expressions as packages use: names, AND, OR, parentheses, and the old `MIT/Apache-2.0`.

/** Whether an expression can be met with the allowed licences alone. */
export function isAllowed(expression, allowed) {
  const tokens = expression.replaceAll('/', ' OR ').match(/[()]|[^\s()]+/g) ?? []
  const take = (token) => tokens[0] === token && tokens.shift() !== undefined
  const any = () => {
    let fine = all()
    while (take('OR')) fine = all() || fine
    return fine
  }
  const all = () => {
    let fine = one()
    while (take('AND')) fine = one() && fine
    return fine
  }
  const one = () => {
    if (!take('(')) return allowed.has(tokens.shift())
    const fine = any()
    return take(')') && fine
  }
  return any() && tokens.length === 0
}
