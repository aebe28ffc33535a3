// A directory of the host that a process is given, what stands outside of it, and the forms of a
// path that might lead there.
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { pathsBelow, temporary } from './given.ts'

/** What stands in each file outside. */
export const secret = 'what no process may read'

/** A folder of the host: `root`, which a process is given, and what stands outside of it. */
export function withSecret(): {
  root: string
  outside: string
  path: string
  [Symbol.dispose]: () => void
} {
  const folder = temporary()
  const [root, outside] = [join(folder.path, 'root'), join(folder.path, 'outside')]
  for (const name of ['root/dir/deep', 'root/tmp', 'outside/dir'])
    mkdirSync(join(folder.path, name), { recursive: true })
  for (const name of ['secret', 'outside/secret', 'outside/dir/secret', 'rootsecret'])
    writeFileSync(join(folder.path, name), `${secret}\n`)
  for (const name of ['file', 'dir/file', 'dir/deep/file'])
    writeFileSync(join(root, name), 'mine\n')
  const links = {
    up: '..',
    'far-up': '../../../../../../../../..',
    relative: '../secret',
    absolute: join(folder.path, 'secret'),
    'to-root': '/',
    'to-outside': outside,
    'dir/up': '../../outside',
    'dir/chain': '../up/up/relative',
    loop: 'loop',
    'loop-a': 'loop-b/x',
    'loop-b': 'loop-a/y',
    'to-proc': '/proc/self/root',
    'to-fd': '/dev/fd/0',
    'to-cwd': '/proc/self/cwd/../secret',
    'host-proc': `/proc/${process.pid}/root${folder.path}/secret`,
    'with-slash': '../outside/',
    dots: './././../outside/./secret',
    empty: 'dir//../..//secret',
  }
  for (const [name, target] of Object.entries(links)) symlinkSync(target, join(root, name))
  return { ...folder, root, outside, [Symbol.dispose]: folder[Symbol.dispose] }
}

/** Forms of a path that might lead to `target`, from a root that is two below the same folder. */
export function forms(root: string, folder: string): string[] {
  const targets = ['secret', 'outside/secret', 'outside/dir/secret', 'rootsecret']
  const ups = ['..', '../..', '../../..', '../../../../../../../../../..']
  const places = [
    '',
    '/',
    '//',
    '/./',
    '/dir/',
    '/dir/deep/',
    'dir/../',
    '/nothing/',
    '/file/',
    '/tmp/',
  ]
  const links = pathsBelow(root)
  const all = [
    ...targets.map((target) => join(folder, target)),
    ...places.flatMap((place) =>
      ups.flatMap((up) => targets.map((target) => `${place}${up}/${target}`)),
    ),
    ...links.flatMap((link) =>
      [
        '',
        '/',
        '/.',
        '/..',
        '/../secret',
        '/secret',
        '/dir/secret',
        `${folder}/secret`,
        '/../../outside/secret',
      ].map((rest) => `/${link}${rest}`),
    ),
    ...[
      '/proc/self/root',
      '/proc/self/cwd',
      '/proc/1/root',
      '/proc/self/task/2/root',
      '/proc/thread-self/root',
    ].flatMap((place) => targets.map((target) => `${place}${folder}/${target}`)),
    ...Array.from({ length: 32 }, (_, number) => [
      `/proc/self/fd/${number}/secret`,
      `/dev/fd/${number}/../secret`,
      `/proc/self/fd/${number}`,
    ]).flat(),
    `/${'../'.repeat(1300)}secret`,
    `/${'dir/../'.repeat(580)}file`,
    `/${'x'.repeat(256)}/../file`,
    `/${'a/'.repeat(2100)}`,
    '\\..\\secret',
    '/%2e%2e/secret',
    '/.. /secret',
    '/..\u0001/secret',
    '/\uff0e\uff0e/secret',
    '/dir/..;/secret',
    '/~/secret',
  ]
  return [...new Set(all)].filter((path) => !path.includes('\n') && path !== '')
}
