export {
  type Surroundings,
  makePrivateDirectory,
  runtimeDirectory,
  stateDirectory,
} from './directories.ts'
export {
  type DaemonSockets,
  type GroupPaths,
  type MachinePaths,
  checkSocketPath,
  clearSocket,
  daemonSockets,
  groupPaths,
  isServed,
  machinePaths,
  maxSocketPathBytes,
} from './sockets.ts'
