import { clearInterval, setInterval } from 'node:timers'

const steps = 10

/**
 * Calls `end` after so many milliseconds, unless it is called itself before. Time in which this
 * process gets no processor hardly counts: what has come meanwhile is heard first.
 */
export function patience(ms: number, end: () => void): () => void {
  let left = steps
  const timer = setInterval(() => {
    left -= 1
    if (left > 0) return
    clearInterval(timer)
    end()
  }, ms / steps).unref()
  return () => clearInterval(timer)
}
