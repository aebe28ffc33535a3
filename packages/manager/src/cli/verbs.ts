import type { Option, Verb } from './verb.ts'

const json: Option = { about: 'one JSON document on stdout instead of text' }

/** Which daemon. */
const daemon = {
  socket: {
    value: 'FILE',
    about: "the daemon's socket (default: what VMEXIT_SOCKET says, or api.sock of --runtime)",
  },
  runtime: {
    value: 'DIR',
    about:
      "the daemon's runtime directory (default $XDG_RUNTIME_DIR/vmexit, or /run/vmexit for root)",
  },
} satisfies Record<string, Option>

const machines = { name: 'MACHINE' }
const many = [1, 1000] as const

/** One that does something to machines and prints what they are after it. */
function act(
  name: string,
  summary: string,
  about: string,
  options: Record<string, Option> = {},
): Verb {
  return {
    name,
    summary,
    usage: 'MACHINE… [options]',
    about: `${about} Of several machines all are tried, and the exit code tells of the first failure.`,
    argument: machines,
    words: many,
    options: { ...options, ...daemon, json },
    load: async () => (await import('./verbs/act.ts')).actions[name]!,
  }
}

const keep: Verb = {
  name: 'daemon',
  summary: 'keep machines, in the foreground',
  usage:
    '[--state DIR] [--runtime DIR] [--modules DIR] [--listen PORT --token-file FILE]\n' +
    '                     [--web [127.0.0.1:PORT]]',
  about:
    'Keeps machines: serves the other commands, HTTP and libvirt at sockets, and starts and watches the processes of ' +
    'machines. Prints the sockets when it is ready. It stays in the foreground; its end ends no machine, and the next one ' +
    'takes them up again.',
  argument: { name: '127.0.0.1:PORT' },
  words: [0, 1],
  options: {
    state: {
      value: 'DIR',
      about:
        'where definitions are kept (default $XDG_STATE_HOME/vmexit, else /var/lib/vmexit for root and ' +
        '~/.local/state/vmexit for others)',
    },
    runtime: {
      value: 'DIR',
      about: 'where sockets are (default $XDG_RUNTIME_DIR/vmexit, or /run/vmexit for root)',
    },
    modules: {
      value: 'DIR',
      about:
        'modules, which are code, are accepted from HTTP over TCP and from XML if they lie below',
    },
    listen: { value: 'PORT', about: 'serve HTTP at this port of 127.0.0.1, too; 0: any free one' },
    'token-file': {
      value: 'FILE',
      about:
        'what callers at the port have to know; a file that is not there is made, with a new one',
    },
    web: {
      about:
        'serve the screen for browsers, too, at 127.0.0.1:PORT (default any port), and print a URL ' +
        'that lets one browser in',
    },
    json,
  },
  notes: `Exit codes: 0 after SIGINT or SIGTERM, 1 when it cannot serve, 2 usage.

Sockets that systemd hands over (LISTEN_FDS) are taken: the first or "api", the second or "libvirt".`,
  load: async () => (await import('./verbs/daemon.ts')).runDaemon,
}

const web: Verb = {
  name: 'web',
  summary: 'print a URL of the web screen',
  usage: '[options]',
  about:
    'Prints a URL of the web screen of a daemon that was started with --web. It lets one browser in, once.',
  words: [0, 0],
  options: { ...daemon, json },
  load: async () => (await import('./verbs/web.ts')).web,
}

const define: Verb = {
  name: 'define',
  summary: 'store the definition of a machine',
  usage: 'FILE|- [--name NAME] [options]',
  about:
    'Stores the definition in a JSON file, or stdin (-), as a machine that can be started. It needs a name. Its paths are ' +
    'relative to the file, or to this folder, and become absolute. One of a name that is there replaces that definition from the ' +
    'next start on.',
  argument: { name: 'FILE' },
  words: [1, 1],
  options: { name: { value: 'NAME', about: 'instead of the name in the file' }, ...daemon, json },
  load: async () => (await import('./verbs/define.ts')).define,
}

const ps: Verb = {
  name: 'ps',
  summary: 'list the machines',
  usage: '[--quiet] [options]',
  about: 'Lists all machines, those that do not run, too.',
  words: [0, 0],
  options: { quiet: { short: 'q', about: 'only their names' }, ...daemon, json },
  load: async () => (await import('./verbs/ps.ts')).list,
}

const attach: Verb = {
  name: 'attach',
  summary: 'be the terminal of a machine',
  usage: 'MACHINE [options]',
  about:
    'Shows the end of what the machine has printed, then what it prints, and types what is typed. Ctrl-] leaves, and the ' +
    'machine runs on. In a pipe stdin is typed and the text goes to stdout, byte for byte, until the machine ends.',
  argument: machines,
  words: [1, 1],
  options: daemon,
  notes: 'Exit codes: 0 after Ctrl-] or the end of the machine, 130 after a signal.',
  load: async () => (await import('./verbs/console.ts')).attach,
}

const logs: Verb = {
  name: 'logs',
  summary: 'show the text that a machine has printed',
  usage: 'MACHINE [-f] [--bytes N] [options]',
  about:
    'Writes what is kept of the text of a machine to stdout, byte for byte. It is kept when the machine has ended.',
  argument: machines,
  words: [1, 1],
  options: {
    follow: { short: 'f', about: 'the last 64 KiB, and then what it prints until it ends' },
    bytes: { value: 'N', about: 'only the last ones' },
    ...daemon,
    json,
  },
  load: async () => (await import('./verbs/console.ts')).logs,
}

const screen: Verb = {
  name: 'screen',
  summary: 'save what the screen shows',
  usage: 'MACHINE --png FILE|- [options]',
  about: 'Writes what the screen of a machine shows as a PNG file.',
  argument: machines,
  words: [1, 1],
  options: { png: { value: 'FILE', about: 'the file, or - for stdout' }, ...daemon, json },
  load: async () => (await import('./verbs/screen.ts')).screen,
}

const stats: Verb = {
  name: 'stats',
  summary: 'show what machines cost, and their exits',
  usage: '[MACHINE…] [options]',
  about: 'Shows processor time, memory and exits by reason, of these machines or of all that run.',
  argument: machines,
  words: [0, 1000],
  options: { ...daemon, json },
  load: async () => (await import('./verbs/stats.ts')).stats,
}

const events: Verb = {
  name: 'events',
  summary: 'show what happened to machines',
  usage: '[MACHINE…] [--since N] [-f] [options]',
  about:
    'Shows the events that are kept, of these machines or of all, and with -f those to come; with -f alone only those.',
  argument: machines,
  words: [0, 1000],
  options: {
    since: { value: 'N', about: 'only what came after the event of this number' },
    follow: { short: 'f', about: 'go on until Ctrl-C' },
    ...daemon,
    json: { about: 'one JSON document, with -f one on each line' },
  },
  load: async () => (await import('./verbs/events.ts')).events,
}

const snapshot: Verb = {
  name: 'snapshot',
  summary: 'save, list, restore or remove states of a machine',
  usage:
    'save MACHINE NAME [--description TEXT]\n       vmexit snapshot list MACHINE\n' +
    '       vmexit snapshot restore MACHINE NAME\n       vmexit snapshot rm MACHINE NAME',
  about:
    'Keeps states of a machine by name: its memory, vCPUs, devices and disks. To save one, the machine stands still for the ' +
    'time it takes. Restoring one starts a machine that does not run.',
  argument: { name: 'save, list, restore or rm', words: ['save', 'list', 'restore', 'rm'] },
  words: [2, 3],
  options: {
    description: { value: 'TEXT', about: 'what it is for (save)' },
    ...daemon,
    json,
  },
  load: async () => (await import('./verbs/snapshot.ts')).snapshot,
}

const project = { argument: { name: 'FILE' }, words: [0, 1] as const }

const up: Verb = {
  ...project,
  name: 'up',
  summary: 'define and start the machines of a project file',
  usage: '[FILE] [options]',
  about:
    'Defines the machines of a project file (default vmexit.json), and starts those that do not run. What runs already stays ' +
    'as it is; a definition that has changed applies from its next start on.',
  options: { ...daemon, json },
  notes: `A project file is JSON: { "machines": { NAME: definition, … } }. Its paths are relative to it.`,
  load: async () => (await import('./verbs/project.ts')).up,
}

const down: Verb = {
  ...project,
  name: 'down',
  summary: 'stop the machines of a project file',
  usage: '[FILE] [-t SECONDS] [--undefine] [options]',
  about:
    'Stops the machines of a project file (default vmexit.json), the last one first. Their definitions, text and snapshots ' +
    'are kept, unless --undefine is given.',
  options: {
    time: { short: 't', value: 'SECONDS', about: 'as of stop' },
    undefine: { about: 'forget them, with their text and snapshots' },
    ...daemon,
    json,
  },
  load: async () => (await import('./verbs/project.ts')).down,
}

/** In the order of the help. */
export const verbs: readonly Verb[] = [
  keep,
  web,
  define,
  act(
    'undefine',
    'forget machines that do not run',
    'Forgets machines that do not run, with their text, snapshots and saved state.',
  ),
  ps,
  act('start', 'start machines', 'Starts machines, and returns when they run.', {
    paused: { about: 'stop before the first instruction' },
    fresh: { about: 'begin anew where a saved state would go on' },
  }),
  act(
    'stop',
    'press the power button, and kill after a time',
    'Presses the power button, kills what has not ended after the time, and returns when it has ended.',
    { time: { short: 't', value: 'SECONDS', about: 'the time; 0 kills at once' } },
  ),
  act('kill', 'end machines at once', 'Ends machines at once, as pulling the plug does.'),
  act('reset', 'press the reset button', 'Starts the guests again, as the reset button does.'),
  act('pause', 'stop the vCPUs', 'Stops the vCPUs of machines.'),
  act('resume', 'let the vCPUs go on', 'Lets the vCPUs of paused machines go on.'),
  attach,
  logs,
  screen,
  stats,
  events,
  snapshot,
  up,
  down,
]
