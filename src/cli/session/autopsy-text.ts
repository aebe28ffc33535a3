import type { Autopsy } from '../../results/autopsy.ts'

/** What follows the sentence that says how a run ended; empty if there is nothing to add. */
export function autopsyText(autopsy: Autopsy | null): string {
  const { findings = [] } = autopsy ?? {}
  // The sentence itself says that nothing claims an access.
  if (findings.every(({ rule }) => rule === 'unclaimed')) return ''
  // Its first line is that sentence.
  const [, ...lines] = String(autopsy).split('\n')
  return lines.map((line) => `${line}\n`).join('')
}
