// Python that a stranger has written, for instance a language model, with a tree of files made up
// for it. The interpreter starts once, with its modules; each program goes on from there.
//
//   node --import @oxc-node/core/register examples/untrusted-python.ts
//
// prints: sums: total 42 (Ada 20, Bob 22)
//         files: report.txt says "2 lines"
//         curious: FileNotFoundError
//         network: PermissionError
//         starter: OSError
//         endless: ended after 3000 ms
//         and of all that nothing is left: ['sales.csv']
import { execute, hostDirectory, memoryDirectory, Process } from 'vmexit/process'

/** Reads a program, and runs it. */
const host = `
import csv, json, re, socket, subprocess, sys
source = sys.stdin.read()
try:
    exec(compile(source, 'program', 'exec'), {'__name__': '__main__'})
except Exception as error:
    print(type(error).__name__)
`

// Of this host it sees what Python itself needs, and can change nothing of it.
const library = (path: string) => ({ [path]: hostDirectory(path, { readOnly: true }) })
using python = new Process('/usr/bin/python3', {
  args: ['-IBc', host],
  files: {
    ...library('/usr/lib'),
    ...library('/usr/bin'),
    ...library('/lib'),
    ...library('/lib64'),
    '/data': memoryDirectory({ 'sales.csv': 'name,amount\nAda,20\nBob,22\n' }),
    '/tmp': memoryDirectory(),
  },
  cwd: '/data',
  memoryBytes: 256 << 20,
})
using warm = await python.snapshot({ when: 'waits' })

/** Each one finds everything as it was then. */
async function run(source: string): Promise<string> {
  const timeoutMs = 3000
  const { stdout, reason } = await execute(warm, [], { stdin: source, timeoutMs })
  return reason === 'timeout' ? `ended after ${timeoutMs} ms` : stdout.trim()
}

const programs = {
  sums: `
import csv
rows = list(csv.DictReader(open('sales.csv')))
print('total', sum(int(row['amount']) for row in rows),
      '(' + ', '.join(f"{row['name']} {row['amount']}" for row in rows) + ')')`,
  files: `
open('report.txt', 'w').write(f"{len(list(open('sales.csv'))) - 1} lines")
print('report.txt says "' + open('report.txt').read() + '"')`,
  curious: `print(open('/etc/passwd').read())`,
  network: `import socket; socket.create_connection(('127.0.0.1', 22))`,
  starter: `import subprocess; subprocess.run(['/usr/bin/id'])`,
  endless: `while True: pass`,
  'and of all that nothing is left': `import os; print(os.listdir('.'))`,
}
for (const [name, source] of Object.entries(programs)) console.log(`${name}: ${await run(source)}`)
