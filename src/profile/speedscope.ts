import { type Named, Numbers } from './named.ts'

/** For speedscope.app: a profile for each vCPU, by time. */
export function speedscope({ hz, vcpus, stacks, moments }: Named): string {
  const frames = new Numbers()
  const rows = stacks.map(({ names }) => names.map((name) => frames.of(name)))
  const weight = 1000 / hz
  const profiles = vcpus.map((vcpu) => {
    const samples: number[][] = []
    const weights: number[] = []
    const left = stacks.map(({ count }) => count)
    for (const { stack } of moments) {
      if (stacks[stack]!.vcpu !== vcpu) continue
      left[stack]!--
      samples.push(rows[stack]!)
      weights.push(weight)
    }
    // Those whose times were not kept.
    for (const [stack, count] of left.entries()) {
      if (stacks[stack]!.vcpu !== vcpu || count <= 0) continue
      samples.push(rows[stack]!)
      weights.push(count * weight)
    }
    const endValue = weights.reduce((sum, one) => sum + one, 0)
    const name = `vCPU ${vcpu}`
    return {
      type: 'sampled',
      name,
      unit: 'milliseconds',
      startValue: 0,
      endValue,
      samples,
      weights,
    }
  })
  return JSON.stringify({
    $schema: 'https://www.speedscope.app/file-format-schema.json',
    exporter: 'vmexit',
    name: 'guest',
    activeProfileIndex: 0,
    shared: { frames: frames.names.map((name) => ({ name })) },
    profiles,
  })
}
