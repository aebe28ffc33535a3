// What package.json says once published, where it differs from the one in git.

/** Fields that serve the repository only. Without scripts, an install runs nothing. */
const OURS = ['scripts', 'devDependencies', 'ava', 'napi']

/** For `napi`, which fails for a target without a binary. */
export function manifestToStage(manifest, targets, repository) {
  return {
    ...manifest,
    // npm accepts provenance only from the repository that the package names.
    ...(repository && {
      repository: { type: 'git', url: `git+https://github.com/${repository}.git` },
    }),
    napi: { ...manifest.napi, targets: targets.map(({ triple }) => triple) },
  }
}

/** For npm, once `napi` has added `optionalDependencies`. */
export function manifestToPublish(staged) {
  return Object.fromEntries(Object.entries(staged).filter(([key]) => !OURS.includes(key)))
}
