export { makePrivateDirectory, runtimeDirectory, stateDirectory } from './directories.ts'
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
} from './sockets.ts'
