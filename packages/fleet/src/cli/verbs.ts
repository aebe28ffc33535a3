import type { Option, Verb } from './verb.ts'

/** Options that several verbs have. */
const shared = {
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
    campaign: {
      value: 'NAME',
      about:
        'with --redis: the name of these jobs together; a run that was ended goes on under it, and ' +
        'what is done is not done again',
    },
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

const server = {
  value: 'URL',
  about: 'the Redis server, redis:// or rediss:// (default: VMEXIT_REDIS)',
}

const worker: Verb = {
  name: 'worker',
  summary: 'run the jobs of a queue on this host',
  usage: '[--redis URL] [options]',
  about:
    'Takes jobs from a queue and runs each in a process of its own, until SIGTERM or Ctrl-C: then it takes nothing further, ' +
    'and ends when what runs has ended. A second one ends at once; what ran goes back to the queue. What this host cannot do goes ' +
    'to other workers. Nothing from the queue is executed as code: modules are those of --modules.',
  words: [0, 0],
  options: {
    redis: server,
    queue,
    concurrency: { value: 'N', about: 'jobs at the same time (default: one for each processor)' },
    name: {
      value: 'NAME',
      about: "what results and lists call this host (default the host's name)",
    },
    lock: {
      value: 'DURATION',
      about: 'after which a job of a worker that is not heard of runs elsewhere (default 10s)',
    },
    store,
    modules: { value: 'FILE', about: 'the folder of job modules' },
    cache,
    json: { about: 'a JSON document on each line: what happens' },
  },
  notes: `Exit codes: 0 drained, 130 ended at once, 124 no Redis.

Example:
  vmexit fleet worker --redis rediss://worker:secret@queue.example:6379 --store https://images.example`,
  load: async () => (await import('./verbs/worker.ts')).worker,
}

const status: Verb = {
  name: 'status',
  summary: 'show a queue and its workers',
  usage: '[--redis URL] [--watch] [--json]',
  about:
    'Shows how many jobs wait and run, which workers there are and what they can do, how many jobs end in a second, and the ' +
    'share of time that is spent in guests.',
  words: [0, 0],
  options: {
    redis: server,
    queue,
    watch: { about: 'look again each second, until Ctrl-C' },
    json,
  },
  load: async () => (await import('./verbs/status.ts')).status,
}

const results: Verb = {
  name: 'results',
  summary: 'print the results that a queue keeps',
  usage: '[--redis URL] [--campaign NAME] [--failed] [--json]',
  about: 'Prints the last 10,000 results of a queue, a line each, in the order in which they came.',
  words: [0, 0],
  options: {
    redis: server,
    queue,
    campaign: { value: 'NAME', about: 'only those of jobs under this name' },
    failed: { about: 'only those without a value' },
    json: { about: 'a JSON document on each line' },
  },
  load: async () => (await import('./verbs/results.ts')).results,
}

const drain: Verb = {
  name: 'drain',
  summary: 'have workers take nothing further',
  usage: '[--redis URL] [--resume | --discard] [--json]',
  about:
    'Has all workers of a queue take nothing further, and returns when what runs has ended. What waits stays, until --resume.',
  words: [0, 0],
  options: {
    redis: server,
    queue,
    resume: { about: 'let workers take jobs again' },
    discard: { about: 'end what waits and runs, too; those who made the jobs are told' },
    json,
  },
  load: async () => (await import('./verbs/drain.ts')).drain,
}

/** In the order of the help. */
export const verbs: readonly Verb[] = [run, put, worker, status, results, drain]
