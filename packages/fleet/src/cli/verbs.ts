import type { Option, Verb } from './verb.ts'

/** Options that several verbs have. */
export const shared = {
  json: { about: 'JSON on stdout instead of text' },
  redis: {
    value: 'URL',
    about:
      'the Redis server whose workers run the jobs, redis:// or rediss://; else this host does',
  },
  queue: { value: 'NAME', about: "the queue's name (default vmexit)" },
  store: {
    value: 'STORE',
    about: 'where images are by their hashes: a folder, or an http:, https: or redis: URL',
  },
  modules: { value: 'FILE', about: 'the folder of job modules, for jobs that run here' },
  cache: {
    value: 'FILE',
    about: 'the folder where this host keeps images (default ~/.cache/vmexit/fleet)',
  },
} satisfies Record<string, Option>

const { json, redis, queue, store, modules, cache } = shared

const run: Verb = {
  name: 'run',
  summary: 'run the jobs of a file',
  usage: 'FILE [--redis URL] [options]',
  about:
    'Runs the jobs of a file: JSON lines, or one JSON array; - reads stdin. Each is an object as docs/fleet.md describes it. ' +
    'A line for each result goes to stdout as it comes; how far it is, and a summary, go to stderr.',
  words: [1, 1],
  options: {
    redis,
    queue,
    concurrency: {
      value: 'N',
      about: 'jobs at the same time (default: one for each processor; with --redis 1000)',
    },
    timeout: { value: 'DURATION', about: 'for one attempt, such as 5s or 250ms (default 60s)' },
    attempts: { value: 'N', about: 'how often a job whose process dies is begun (default 3)' },
    store,
    modules,
    cache,
    json: { about: 'a JSON document on each line: the results, and last the summary' },
  },
  notes: `Exit codes: 0 when every job has a value, 1 when one has failed, 2 usage, 130 after Ctrl-C.

Example:
  vmexit fleet run jobs.jsonl --store ./store --json > results.jsonl`,
  load: async () => (await import('./verbs/run.ts')).run,
}

const put: Verb = {
  name: 'put',
  summary: 'store files, and print their hashes',
  usage: 'FILE… --store STORE',
  about: 'Stores the content of files, and prints the hash of each, by which jobs name it.',
  words: [1, 1000],
  options: { store, json },
  load: async () => (await import('./verbs/put.ts')).put,
}

/** In the order of the help. */
export const verbs: readonly Verb[] = [run, put]
