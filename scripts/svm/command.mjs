// One command in the machine, with this terminal.
import { root } from '../run.mjs'
import { runJob, say } from './job.mjs'
import { Failure } from './scope.mjs'

/** Runs a command in the project's directory inside, with what `parts` adds to the disk, and returns its exit code. */
export async function runCommand(command, seconds, parts = {}) {
  const steps = [{ directory: root, command, seconds }]
  const { ends, troubles } = await runJob({ ...parts, steps }, () => ({
    onOut: (chunk) => process.stdout.write(chunk),
    onErr: (chunk) => process.stderr.write(chunk),
  }))
  if (troubles.length > 0) throw new Failure(troubles.join('\n'))
  const [end] = ends
  if (end.late) say(`${command[0]} was not done after ${seconds} s`)
  return end.status
}
