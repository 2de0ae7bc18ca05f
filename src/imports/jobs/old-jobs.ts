import { isLive, type Job } from './job.ts'

/** Milliseconds for which the records of finished jobs are retained, and their maximum number. */
const RETENTION = 30 * 24 * 3600 * 1000
const MOST_RETAINED = 5000

/** Returns the finished jobs to remove. `jobs`: all of them, newest first. */
export function oldJobs(jobs: readonly Job[], now: Date): Job[] {
  const oldest = now.getTime() - RETENTION
  const finished = jobs.filter(job => !isLive(job))
  return finished.filter(
    (job, index) => index >= MOST_RETAINED || Date.parse(job.finished_at ?? job.created_at) < oldest,
  )
}
