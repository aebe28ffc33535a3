import { exitCodes } from './command.ts'

// A reader that went away (`| head`) is no failure of ours.
let whenGone = (): void => process.exit(exitCodes.fine)

/** What is done, instead of ending, once nothing reads stdout any more. */
export function onceReaderLeaves(action: () => void): void {
  whenGone = action
}

/** Watches stdout for failures. */
export function watchReader(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') return whenGone()
    process.stderr.write(`vmexit: cannot write to stdout: ${error.message}\n`)
    process.exit(exitCodes.hostFailure)
  })
}
