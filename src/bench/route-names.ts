/**
 * The routes that are measured, in the order of the tables. Apart from them: the help needs no
 * binding.
 */
export const routeNames = [
  ...(['constant', 'trace', 'console', 'mmio', 'device-sync', 'device', 'device-async'] as const),
  ...(['queue', 'coalesce', 'event'] as const),
  ...(['hlt', 'run-sync', 'run', 'registers', 'call', 'pause', 'lifecycle'] as const),
  'step' as const,
  ...(['native-call', 'native-call-spin', 'wasm-call', 'koffi-call'] as const),
  ...(['syscall', 'syscall-js', 'import', 'compute', 'wasm-compute', 'native-reset'] as const),
  ...(['process', 'process-warm', 'python', 'python-loop'] as const),
  ...(['reset-1', 'reset-10', 'reset-100', 'fork', 'snapshot', 'profile'] as const),
]

/** One of them. */
export type RouteName = (typeof routeNames)[number]

/** About 0.2 s a sample where an exit costs 10 µs. */
export const defaultExits = 20_000
