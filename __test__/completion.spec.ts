// `vmexit completion`: the shells themselves say what they complete.
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import test, { type ExecutionContext } from 'ava'

import { commands } from '../src/cli/commands.ts'
import { vmexit } from './helpers/cli.ts'
import { affordable } from './helpers/speed.ts'

const folder = mkdtempSync(join(tmpdir(), 'vmexit-completion-'))
test.after.always(() => rmSync(folder, { recursive: true }))
mkdirSync(join(folder, 'files'))
for (const name of ['guest.bin', 'two words.bin']) writeFileSync(join(folder, 'files', name), '')

/** What is typed before the Tab, and what it may become. */
const cases: [typed: string, expected: string[]][] = [
  ['vmexit bo', ['boot']],
  ['vmexit run --me', ['--memory']],
  ['vmexit run x --mode ', ['real', 'protected', 'paged32', 'long']],
  ['vmexit run x --mode p', ['protected', 'paged32']],
  ['vmexit boot x --si', ['--silence']],
  ['vmexit hello --privilege u', ['user']],
  ['vmexit help do', ['doctor', 'down']],
  ['vmexit completion z', ['zsh']],
  ['vmexit bench --route coa', ['coalesce']],
  ['vmexit new ke', ['kernel-test']],
  ['vmexit new native gu', ['guest.bin']],
  ['vmexit new native x --js', ['--json']],
  ['vmexit run gu', ['guest.bin']],
  ['vmexit boot x --initrd tw', ['two words.bin']],
  ['vmexit exec --sy', ['--syscalls']],
  ['vmexit exec --dir gu', ['guest.bin']],
  ['vmexit exec --timeout 5s -- gu', ['guest.bin']],
]

function run(shell: string, args: string[], input?: string): string {
  const options = { cwd: join(folder, 'files'), input, encoding: 'utf8' as const, timeout: 300_000 }
  const { stdout, stderr, error } = spawnSync(shell, args, options)
  return error ? `${error.message}\n${stderr}` : stdout
}

/** What bash's own completion function leaves in COMPREPLY. */
const inBash = (script: string, typed: string): string[] => {
  const words = typed.split(' ').map((word) => `'${word}'`)
  const ask = `
    source '${script}'
    [[ $(complete -p vmexit) == 'complete -F _vmexit vmexit' ]] || echo unregistered
    COMP_WORDS=(${words.join(' ')}) COMP_CWORD=${words.length - 1}
    _vmexit
    printf '%s\\n' "\${COMPREPLY[@]}"
  `
  return run('bash', ['--noprofile', '--norc', '-c', ask]).trim().split('\n')
}

const inFish = (script: string, typed: string): string[] => {
  const ask = `source '${script}'; complete -C '${typed}'`
  const lines = run('fish', ['--no-config', '-c', ask]).trim().split('\n')
  return lines.map((line) => line.split('\t')[0]!.replaceAll('\\', ''))
}

/**
 * zsh completes at a terminal only, which zpty is; every match goes through `compadd`, which writes
 * it down instead.
 */
const inZsh = (script: string, typed: string): string[] => {
  const setup = join(folder, 'setup.zsh')
  writeFileSync(
    setup,
    `
    PS1=READY
    unset zle_bracketed_paste
    autoload -Uz compinit && compinit -u -D
    source '${script}'
    zstyle ':completion:*' menu no
    compadd() {
      local -a found
      builtin compadd -O found "$@"
      (( $#found )) && print -rl -- $found >> '${folder}/found'
      builtin compadd "$@"
    }
    finish() { zle complete-word; print -r -- DONE >> '${folder}/found' }
    zle -N finish
    bindkey '^I' finish
    `,
  )
  rmSync(join(folder, 'found'), { force: true })
  const ask = `
    zmodload zsh/zpty
    zpty shell "TERM=dumb zsh -f -i"
    zpty -w shell "source '${setup}'"
    zpty -r shell seen '*READY*'
    zpty -n -w shell $'${typed}\\t'
    for (( turn = 0; turn < 2000; turn += 1 )); do
      grep -qs DONE '${folder}/found' && break
      sleep 0.1
    done
    cat '${folder}/found'
  `
  const lines = run('zsh', ['-f', '-c', ask]).trim().split('\n')
  // It is asked for a path twice, once in quotes.
  const found = lines.filter((line) => line !== 'DONE').map((line) => line.replaceAll('\\', ''))
  return [...new Set(found)]
}

async function check(
  t: ExecutionContext,
  shell: string,
  complete: (script: string, typed: string) => string[],
): Promise<void> {
  const { code, stdout } = await vmexit(['completion', shell])
  t.is(code, 0)
  const script = join(folder, `vmexit.${shell}`)
  writeFileSync(script, stdout)
  for (const [typed, expected] of cases) {
    t.deepEqual(complete(script, typed).toSorted(), expected.toSorted(), typed)
  }
  const options = commands.find(({ name }) => name === 'run')!.options
  const all = [...Object.keys(options), 'help'].map((name) => `--${name}`)
  t.deepEqual(complete(script, 'vmexit run --').toSorted(), all.toSorted())
}

/** A test for which a shell is needed. */
function shellTest(shell: string, title: string, body: (t: ExecutionContext) => Promise<void>) {
  if (spawnSync(shell, ['--version']).error)
    test.skip(`${title}: no ${shell} here`, (t) => t.pass())
  else test(title, body)
}

for (const [shell, complete] of Object.entries({ bash: inBash, zsh: inZsh, fish: inFish })) {
  const title = `${shell} completes commands, options, values and paths`
  shellTest(shell, title, async (t) => {
    if (shell !== 'zsh' || affordable(10) === 10) return check(t, shell, complete)
    t.log('skipped: on an emulated processor zsh takes up to a minute for its first word')
    t.pass()
  })
}

shellTest('bash', 'bash completes what stands behind an equals sign', async (t) => {
  const script = join(folder, 'equals.bash')
  writeFileSync(script, (await vmexit(['completion', 'bash'])).stdout)
  // bash makes three words of it.
  t.deepEqual(inBash(script, 'vmexit run --mode = re'), ['real'])
  t.is(inBash(script, 'vmexit run --mode =').length, 4)
})
