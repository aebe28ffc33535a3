/** Runs `vmexit fleet …`, and returns the exit code. */
export async function main(args: readonly string[]): Promise<number> {
  process.stderr.write(`vmexit: fleet ${args[1] ?? ''}: not there yet\n`)
  return 2
}
