import { defaultExits, routeNames } from '../bench/route-names.ts'
import type { Argument, Command, Option } from './command.ts'
import { exec } from './exec.ts'
import { knownVerbs } from './manager.ts'
import { newProject } from './new/command.ts'
import { portTargets } from './values.ts'
import { words } from './words.ts'

const { modes, privileges, faults, formats, networks, shells } = words

const json: Option = { about: 'one JSON document on stdout instead of text' }

/** What `run` and `boot` have in common. */
const guest = {
  port: {
    value: 'PORT=TARGET',
    about:
      `${portTargets()}; PORT-LAST for several; repeatable. Kernels for testing ` +
      'often use 0xe9=console, 0x402=console, 0xf4=stop',
    multiple: true,
    api: ['routes'],
  },
  cpus: { value: 'N', about: 'vCPUs (default 1)', api: ['vcpus'] },
  disk: {
    value: 'FILE[:ro|:volatile]',
    about:
      'a disk, /dev/vda and so on: a file without a header; ro: the guest cannot write; ' +
      'volatile: what it writes is forgotten; repeatable',
    multiple: true,
    api: ['disks', ...Array.from({ length: 6 }, (_, index) => `disks[${index}].file`)],
  },
  net: {
    value: 'NETWORK',
    words: networks,
    about:
      "a network card: passt, a program run beside, connects it with the host's network (10.0.2.15 by DHCP)",
    api: ['network[0].passt', 'network'],
  },
  timeout: {
    value: 'DURATION',
    about: 'end the run after this time, such as 5s or 250ms, and say where the guest is',
    api: ['timeoutMs'],
  },
  screen: {
    value: 'SCREEN',
    about: 'what the guest is shown on: text (80x25 characters), or pixels such as 1024x768',
    api: ['screen'],
  },
  screenshot: {
    value: 'FILE',
    about: 'what the screen shows at the end, as a PNG file',
  },
  profile: {
    value: 'FILE',
    about:
      'write where the guest spends its time: FILE.cpuprofile for Chrome and VS Code, ' +
      'FILE.speedscope.json for speedscope.app, FILE.folded for flame graphs',
  },
  symbols: {
    value: 'FILE',
    about: 'an ELF image such as vmlinux, which names the functions of --profile (default: IMAGE)',
  },
  trace: {
    value: 'FILE',
    about:
      'every exit, the newest 65536 of each vCPU: .json for ui.perfetto.dev, .jsonl lines, .bin or .trace for readTrace()',
  },
  vnc: {
    value: 'PATH',
    about:
      'show the screen to viewers of VNC at a Unix socket that is made there, and let them type',
    api: ['path'],
  },
  gdb: {
    value: 'ADDRESS',
    optional: /^(127\.0\.0\.1|localhost)?:\d+$/,
    about:
      'let gdb look into the guest, at :PORT of 127.0.0.1 or a Unix socket, a path; without ADDRESS at a ' +
      'socket in a folder of its own',
    api: ['port', 'path'],
  },
  wait: { about: 'do not begin before gdb says so' },
} satisfies Record<string, Option>

const image: Argument = { name: 'IMAGE', api: ['payload', 'payload.image'] }

const hello: Command = {
  name: 'hello',
  summary: 'run the embedded hello guest in every CPU mode',
  usage: '[--mode real|protected|paged32|long] [--privilege kernel|user] [--json]',
  about:
    'Runs the embedded hello guest, in every mode that this KVM can run when none is named. The guest prints a line, ' +
    'stores 42 at 0x400 and ends with 42 in RAX; both are checked.',
  options: {
    mode: { value: 'MODE', words: modes, about: 'only this CPU mode', api: ['mode'] },
    privilege: {
      value: 'PRIVILEGE',
      words: privileges,
      about: 'only this privilege; user means mode long',
      api: ['privilege'],
    },
    json,
  },
  load: async () => (await import('./commands/hello.ts')).runHello,
}

const run: Command = {
  name: 'run',
  summary: 'run an image of your own',
  usage:
    'IMAGE [--mode real|protected|paged32|long] [options]\n       vmexit run --file machine.json [options]\n       vmexit run --from FILE [options]',
  about:
    'Runs a flat image, which needs --mode, or an ELF or multiboot image; - reads it from stdin. Ports go where --port ' +
    'says; an access that no --port claims ends the run, unless there is a --pc. What the guest writes to console ports ' +
    'and to its serial port goes to stdout, byte for byte. --file runs the machine that a JSON document defines; IMAGE and ' +
    'flags take the place of its keys.',
  argument: image,
  options: {
    file: {
      value: 'FILE',
      about:
        "a machine definition in JSON; its paths are relative to it. IMAGE is its payload's file then, other flags " +
        'replace its keys, and each --port adds a route',
    },
    mode: {
      value: 'MODE',
      words: modes,
      about: 'CPU mode of the first instruction: real, protected, paged32 or long',
      api: ['mode'],
    },
    privilege: {
      value: 'PRIVILEGE',
      words: privileges,
      about: 'kernel (default) or user; user needs mode long',
      api: ['privilege'],
    },
    faults: {
      value: 'FAULTS',
      words: faults,
      about:
        'report: a fault that the guest does not handle ends the run and is named; off: it shuts the guest down ' +
        '(default: report for flat and ELF images with --privilege user)',
      api: ['faults'],
    },
    format: {
      value: 'FORMAT',
      words: formats,
      about: `${formats.join(', ')} (default: what the content says)`,
      api: ['payload.format', 'format'],
    },
    load: {
      value: 'GPA',
      about: 'where a flat image lies (default 0)',
      api: ['payload.loadGpa', 'loadGpa'],
    },
    entry: {
      value: 'GPA',
      about: 'the first instruction (default: --load, or what the image says)',
      api: ['payload.entryGpa', 'entryGpa'],
    },
    memory: {
      value: 'SIZE',
      about: 'memory from address 0 on, such as 2M (default; 16M with --pc)',
      api: ['memoryBytes'],
    },
    port: guest.port,
    cpus: guest.cpus,
    irqchip: {
      about: 'interrupt controllers and timer; hlt then waits for an interrupt',
      api: ['irqchip'],
    },
    pc: {
      about:
        'the rest of a PC: --irqchip, a serial port that prints (--serial also reads), clock, power and reset registers, ACPI tables',
      api: ['pc'],
    },
    serial: {
      about: 'a serial port, COM1, which is your terminal: stdin and stdout; Ctrl-] ends the run',
      api: ['serial'],
    },
    disk: guest.disk,
    net: guest.net,
    vnc: guest.vnc,
    gdb: guest.gdb,
    wait: guest.wait,
    timeout: guest.timeout,
    screen: guest.screen,
    screenshot: guest.screenshot,
    profile: guest.profile,
    symbols: guest.symbols,
    trace: guest.trace,
    'snapshot-at-exit': {
      value: 'FILE',
      about: 'save the machine as it is when the run ends, for --from',
    },
    from: {
      value: 'FILE',
      about:
        'go on with a machine that --snapshot-at-exit or Snapshot.save has saved; no image then, ' +
        'and only --port, for claims that it has, --net, and flags of the run',
    },
    registers: { about: 'show the registers at the end, on stderr' },
    json: { about: 'one JSON document, which holds the text, also as outputBase64' },
  },
  notes:
    `Exit codes: the guest's own for a stop port (its low byte; 255 for a multiple of 256), 0 after hlt or
power-off, 4 after a reset, which is how a panic often looks, 3 for any other end, 124 for a
time-out, 130 after Ctrl-] or a signal.

Example:
  vmexit run guest.bin --mode long --port 0xe9=console --port 0xf4=stop --timeout 5s
`.trimEnd(),
  load: async () => (await import('./commands/run.ts')).runImage,
}

const boot: Command = {
  name: 'boot',
  summary: 'boot a kernel, with your terminal as its serial port',
  usage: 'KERNEL [options]\n       vmexit boot [DISK] --firmware FILE [options]',
  about:
    'Boots a kernel (bzImage, PVH, multiboot or ELF) on a small PC: interrupt controllers, timer, clock, ACPI power-off, ' +
    'and a serial port that is your terminal. Ctrl-] ends it. In a pipe stdin goes to the serial port and its output to ' +
    'stdout, byte for byte. With --firmware a BIOS such as SeaBIOS starts, and finds DISK.',
  argument: { name: 'KERNEL', api: image.api! },
  options: {
    firmware: {
      value: 'FILE',
      about: 'a ROM such as /usr/share/seabios/bios-256k.bin instead of a kernel; it boots DISK',
    },
    'firmware-file': {
      value: 'NAME=FILE',
      about: 'what it finds by name, such as vgaroms/vgabios.bin=FILE; repeatable',
      multiple: true,
      api: ['payload.files'],
    },
    initrd: {
      value: 'FILE',
      about: 'the initial RAM disk (multiboot: the first module)',
      api: ['payload.initrd', 'payload.modules[0].image', 'initrd', 'modules'],
    },
    cmdline: {
      value: 'TEXT',
      about:
        "the kernel's command line (default for Linux: console=ttyS0, with --screen after " +
        'console=tty0)',
      api: ['payload.cmdline', 'cmdline'],
    },
    memory: {
      value: 'SIZE',
      about: 'memory from address 0 on, such as 512M (default)',
      api: ['memoryBytes'],
    },
    cpus: guest.cpus,
    port: guest.port,
    disk: guest.disk,
    net: guest.net,
    vnc: guest.vnc,
    gdb: guest.gdb,
    wait: guest.wait,
    timeout: guest.timeout,
    screen: guest.screen,
    screenshot: guest.screenshot,
    profile: guest.profile,
    symbols: guest.symbols,
    trace: guest.trace,
    silence: {
      value: 'DURATION',
      about:
        'give up when nothing was printed by then (default 60s; 0s: never), and say where the guest is',
    },
    json: { about: "one JSON document at the end, which holds the guest's text" },
  },
  notes:
    `Exit codes: 0 after power-off or hlt, 4 after a reset, which is how a panic often looks, 3 when the
guest ended abnormally or stayed silent, 124 for a time-out, 130 after Ctrl-] or a signal; for a stop
port the guest's own.

Example:
  vmexit boot vmlinuz --initrd initramfs.cpio --cmdline 'console=ttyS0 quiet' --cpus 2
  vmexit boot disk.img --firmware /usr/share/seabios/bios-256k.bin
`.trimEnd(),
  load: async () => (await import('./commands/boot.ts')).bootKernel,
}

const disassemble: Command = {
  name: 'disassemble',
  summary: 'show the machine code of an image',
  usage: 'FILE [--mode real|protected|paged32|long] [--at ADDRESS] [--count N] [--json]',
  about:
    'Shows the instructions of an image in Intel syntax, and runs nothing: it needs no /dev/kvm. Of an ELF image it shows ' +
    'the sections with code, by the names of its symbols; a flat image needs --mode. - reads it from stdin.',
  argument: { name: 'FILE' },
  options: {
    mode: {
      value: 'MODE',
      words: modes,
      about:
        'CPU mode of the code: real (16 bits), protected or paged32 (32 bits), long (64 bits); ' +
        'an ELF image says it itself',
    },
    at: {
      value: 'ADDRESS',
      about: 'where to begin: an address, or a symbol of an ELF image, such as main or main+0x12',
    },
    count: { value: 'N', about: 'how many instructions at most (default: all)' },
    load: { value: 'GPA', about: 'where a flat image lies (default 0)' },
    json: {
      about: 'one JSON document: addresses are decimal strings, bytes are hexadecimal ones',
    },
  },
  notes: `Example:
  vmexit disassemble guest.elf --at main --count 20
  vmexit disassemble guest.bin --mode long`,
  load: async () => (await import('./commands/disassemble.ts')).runDisassemble,
}

const doctor: Command = {
  name: 'doctor',
  summary: 'say what this machine can do',
  usage: '[--json]',
  about:
    'Says what this machine can do: whether /dev/kvm works, which CPU modes it runs, what an exit costs.',
  options: { json },
  load: async () => (await import('./commands/doctor.ts')).runDoctor,
}

const bench: Command = {
  name: 'bench',
  summary: 'measure what exits and calls cost, beside raw C',
  usage: '[--json] [--out report.html] [--route NAME]… [--exits N]',
  about:
    'Measures what an exit costs on each route, and what calls of the API cost, beside a C program that does the same ' +
    'alternately with it. The program is built with cc (or $CC) at first use. Ctrl-C ends early with what is measured so far.',
  options: {
    route: {
      value: 'NAME',
      words: routeNames,
      about: `only this route; repeatable: ${routeNames.join(', ')}`,
      multiple: true,
    },
    exits: { value: 'N', about: `exits of one sample (default ${defaultExits})` },
    out: { value: 'FILE', about: 'write a page with charts, too' },
    json,
  },
  notes: 'Exit codes: 0 fine, 1 a route or the host failed, 2 usage, 130 ended by Ctrl-C.',
  load: async () => (await import('./commands/bench.ts')).runBench,
}

const completion: Command = {
  name: 'completion',
  summary: 'print what makes a shell complete vmexit',
  usage: 'bash|zsh|fish',
  about: 'Prints a script that makes a shell complete the commands, options and values of vmexit.',
  argument: { name: 'SHELL', words: shells },
  options: {},
  notes: `Examples:
  vmexit completion bash >> ~/.bashrc
  vmexit completion zsh > ~/.zfunc/_vmexit     (a folder of $fpath)
  vmexit completion fish > ~/.config/fish/completions/vmexit.fish
`.trimEnd(),
  load: async () => {
    const { completionOf } = await import('./completion.ts')
    return completionOf(commands, await knownVerbs())
  },
}

/** In the order of the help. */
export const commands: readonly Command[] = [
  hello,
  newProject,
  run,
  boot,
  exec,
  disassemble,
  doctor,
  bench,
  completion,
]
