// The scripts that know what the cookbook's recipes are, with their types.
interface Recipe {
  path: string
  output: string
}

const scripts = (await import(new URL('../../scripts/docs/recipes.mjs', import.meta.url).href)) as {
  recipesIn: (root: string) => Map<string, Recipe[]>
  missingFor: (recipe: Recipe) => string | undefined
  isAs: (text: string, promise: string) => boolean
  keeps: (recipe: Recipe, printed: string) => boolean
}

export const { recipesIn, missingFor, isAs, keeps } = scripts
