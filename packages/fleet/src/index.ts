/**
 * Runs jobs of vmexit in child processes: on this host, or on many that share a Redis server.
 *
 * @packageDocumentation
 */
export type {
  Hashed,
  Job,
  JobError,
  JobLimits,
  JobNeeds,
  JsonValue,
  NativeCall,
  NativeProgram,
  Result,
} from './job/job.ts'
