import { type Argument, type Option, type Run, UsageError } from './command.ts'
import type { Verb } from './manager.ts'
import { parseWord } from './values.ts'
import { words } from './words.ts'

/** `vmexit completion`, for these commands and those of other packages. */
export function completionOf(commands: readonly Verb[], verbs: readonly Verb[]): Run {
  const writers = { bash, zsh, fish }
  return async (_, positionals) => {
    const [shell, extra] = positionals
    if (shell === undefined || extra !== undefined)
      return UsageError.raise(`completion needs one of ${words.shells.join(', ')}`)
    process.stdout.write(writers[parseWord('SHELL', words.shells, shell)](commands, verbs))
    return 0
  }
}

const help: readonly [string, Option] = ['help', { about: 'show the help' }]

function optionsOf({ options = {} }: Verb): (readonly [string, Option])[] {
  // What may stand without its value takes no word after it.
  const own = Object.entries(options).map(
    ([name, option]) => [name, option.optional ? { about: option.about } : option] as const,
  )
  return [...own, help]
}

/** A word as every one of these shells reads it. */
function quote(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`
}

/** What an argument may be: words of its own, machines of the daemon, or a path. */
const isPath = (argument?: Argument): boolean =>
  argument !== undefined && !argument.words && argument.name !== 'MACHINE'

/** Whether a value begins with a path of the host. */
const isFile = (value = ''): boolean => /^(FILE|HOST)\b/.test(value)

/** Their names; without the manager, or a daemon, there are none. */
const machines = 'vmexit ps --quiet 2>/dev/null'

function bash(own: readonly Verb[], verbs: readonly Verb[]): string {
  const commands = [...own, ...verbs]
  const names = [...commands.map(({ name }) => name), 'help', '--help', '--version'].join(' ')
  const values = commands.flatMap((command) =>
    optionsOf(command).flatMap(([name, { value, words: list }]) => {
      if (value === undefined) return []
      const way = list ? `list ${quote(list.join(' '))}` : isFile(value) ? 'files' : 'nothing'
      return [`    '${command.name} --${name}') ${way}; return ;;`]
    }),
  )
  const rest = commands.map((command) => {
    const flags = optionsOf(command).map(([name]) => `--${name}`)
    const argument = command.argument?.words ?? []
    const way = `list ${quote([...argument, ...flags].join(' '))}`
    const other = isPath(command.argument)
      ? 'files'
      : command.argument?.name === 'MACHINE' && `list "$(${machines})"`
    if (command.argument?.followedBy) {
      const isFirst = '[[ $word == -* ]] || (( COMP_CWORD == 2 ))'
      return `    ${command.name}) if ${isFirst}; then ${way}; else files; fi ;;`
    }
    return `    ${command.name}) ${other ? `if [[ $word == -* ]]; then ${way}; else ${other}; fi` : way} ;;`
  })
  return `# vmexit completion for bash
_vmexit() {
  local word=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD-1]}
  # bash takes --option=value for three words.
  if [[ $word == = ]]; then word=
  elif [[ $before == = ]]; then before=\${COMP_WORDS[COMP_CWORD-2]}; fi
  list() { mapfile -t COMPREPLY < <(compgen -W "$1" -- "$word"); }
  files() { compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$word"); }
  nothing() { :; }
  COMPREPLY=()
  if (( COMP_CWORD == 1 )); then list ${quote(names)}; return; fi
  case "\${COMP_WORDS[1]} $before" in
${values.join('\n')}
  esac
  case \${COMP_WORDS[1]} in
${rest.join('\n')}
    help) list ${quote(commands.map(({ name }) => name).join(' '))} ;;
  esac
}
complete -F _vmexit vmexit
`
}

function zsh(own: readonly Verb[], verbs: readonly Verb[]): string {
  const commands = [...own, ...verbs]
  const described = (rows: readonly Verb[]): string[] =>
    rows.map(({ name, summary }) => quote(`${name}:${summary}`))
  const cases = commands.map((command) => {
    const { name, argument } = command
    const specs = optionsOf(command).map(([option, { about, value, words: list, multiple }]) => {
      // In a specification these characters mean something.
      const escape = (plain: string): string => plain.replaceAll(/[[\]:\\]/g, String.raw`\$&`)
      const text = escape(about)
      const action = list ? `(${list.join(' ')})` : isFile(value) ? '_files' : ' '
      const taken = value === undefined ? '' : `:${escape(value)}:${action}`
      return quote(`${multiple ? '*' : ''}--${option}[${text}]${taken}`)
    })
    const values = argument?.words ? `(${argument.words.join(' ')})` : '_files'
    const all = !argument
      ? specs
      : argument.name === 'MACHINE'
        ? [...specs, quote(`*:MACHINE:{compadd -- $(${machines})}`)]
        : [
            ...specs,
            quote(`1:${argument.name}:${values}`),
            ...(argument.followedBy ? [quote(`2:${argument.followedBy}:_files`)] : []),
          ]
    // After -- there are no options.
    return `    ${name}) _arguments -S ${all.join(' \\\n      ')} ;;`
  })
  return `#compdef vmexit
# vmexit completion for zsh
_vmexit() {
  local -a commands=(${[...described(own), quote('help:show the help of a command')].join(' \\\n    ')})
  local -a verbs=(${described(verbs).join(' \\\n    ')})
  if (( CURRENT == 2 )); then
    _describe -t commands command commands
    _describe -t verbs 'command of another package' verbs
    return
  fi
  local command=$words[2]
  shift words
  (( CURRENT-- ))
  case $command in
${cases.join('\n')}
    help) _arguments ${quote(`1:COMMAND:(${commands.map(({ name }) => name).join(' ')})`)} ;;
  esac
}
if [[ $funcstack[1] == _vmexit ]]; then _vmexit "$@"; else compdef _vmexit vmexit; fi
`
}

/** The condition that one of its words is there already. */
const afterWord = (name: string, list: readonly string[]): string =>
  `-n '__fish_seen_subcommand_from ${name}; and __fish_seen_subcommand_from ${list.join(' ')}'`

function fish(own: readonly Verb[], verbs: readonly Verb[]): string {
  const commands = [...own, ...verbs]
  const names = commands.map(({ name }) => name)
  const withFiles = commands.filter(({ argument }) => isPath(argument))
  const lines = commands.flatMap((command) => {
    const { name, summary, argument } = command
    const seen = `-n '__fish_seen_subcommand_from ${name}'`
    const options = optionsOf(command).map(([option, { about, value, words: list }]) => {
      const taken = value === undefined ? '' : isFile(value) ? ' -r -F' : ' -x'
      const values = list ? ` -a ${quote(list.join(' '))}` : ''
      return `complete -c vmexit ${seen} -l ${option}${taken}${values} -d ${quote(about)}`
    })
    const ownWords = argument?.words
      ? [
          `complete -c vmexit ${seen} -a ${quote(argument.words.join(' '))}`,
          ...(argument.followedBy
            ? [`complete -c vmexit ${afterWord(name, argument.words)} -F`]
            : []),
        ]
      : argument?.name === 'MACHINE'
        ? [`complete -c vmexit ${seen} -a ${quote(`(${machines})`)}`]
        : []
    return [
      `complete -c vmexit -n __fish_use_subcommand -a ${name} -d ${quote(summary)}`,
      ...ownWords,
      ...options,
    ]
  })
  return `# vmexit completion for fish
complete -c vmexit -f
complete -c vmexit -n '__fish_seen_subcommand_from ${withFiles.map(({ name }) => name).join(' ')}' -F
complete -c vmexit -n __fish_use_subcommand -a help -d 'show the help of a command'
complete -c vmexit -n '__fish_seen_subcommand_from help' -a ${quote(names.join(' '))}
${lines.join('\n')}
`
}
