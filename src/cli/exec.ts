import type { Command } from './command.ts'

/** `vmexit exec`, as far as it can be told without the binding. */
export const exec: Command = {
  name: 'exec',
  summary: 'run a Linux program, with only what it is given',
  usage: '[--dir HOST[:GUEST][:ro]]… [--env NAME=VALUE]… [options] [--] PROGRAM [ARGUMENT]…',
  about:
    'Runs a program of this host in a virtual machine of its own, where it reaches nothing but what it is given. Of files ' +
    'these are the program, the interpreter that its ELF or script header names, and each --dir. Its environment is empty ' +
    'but for each --env. It has one thread, no network, and starts no other program. A PROGRAM without a slash is looked ' +
    'for in PATH. stdin, stdout and stderr are its own.',
  argument: { name: 'PROGRAM' },
  isProgram: true,
  options: {
    dir: {
      value: 'HOST[:GUEST][:ro]',
      about:
        'a directory or file of the host, and where the program finds it (default: at the same path); ' +
        'ro: it can change nothing there; repeatable',
      multiple: true,
    },
    env: {
      value: 'NAME=VALUE',
      about: 'a variable of its environment; repeatable',
      multiple: true,
      api: ['env'],
    },
    cwd: { value: 'GUEST', about: 'its working directory (default /)', api: ['cwd'] },
    memory: {
      value: 'SIZE',
      about: 'all memory that it can have, such as 64M (default 256M)',
      api: ['memoryBytes'],
    },
    timeout: {
      value: 'DURATION',
      about: 'end it after this time, such as 5s or 250ms',
      api: ['timeoutMs'],
    },
    syscalls: { about: 'a line on stderr for each system call, as strace prints them' },
    json: { about: 'one JSON document, which holds its output, also as stdoutBase64' },
  },
  notes:
    `Exit codes: the program's own, 128 + the number of the signal that has ended it (130 after Ctrl-C), 124
for a time-out, 126 for what is no program, 127 for what is not there, 1 and 2 for vmexit itself.

Examples:
  vmexit exec --dir .:/work:ro -- busybox sha256sum /work/package.json
  vmexit exec --dir /usr:ro --dir /lib:ro --dir /lib64:ro -- python3 -c 'print(6 * 7)'
`.trimEnd(),
  load: async () => (await import('./commands/exec.ts')).runExec,
}
