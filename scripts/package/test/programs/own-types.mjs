// Node.js 24 reads TypeScript by itself: the loader of this project's tests, which has a binary of its own, stays out.
import { registerHooks } from 'node:module'

registerHooks({
  resolve: (name, context, next) =>
    name === '@oxc-node/core/register'
      ? { url: 'data:text/javascript,', shortCircuit: true }
      : next(name, context),
})
