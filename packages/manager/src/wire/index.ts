export { type Crash, crashOf, endState } from './ends.ts'
export type { Params, WireEvent } from './message.ts'
export {
  type End,
  type MachineEvent,
  type Methods,
  type StartParams,
  type Started,
  type Status,
  maxHoldMs,
  maxKeys,
  maxMemoryBytes,
} from './methods.ts'
export { type Answerer, Peer, maxLineBytes, toldOf } from './peer.ts'
