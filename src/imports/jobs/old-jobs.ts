import { isLive, type Job } from './job.ts'

/** Finished records are kept this long for people to look at, and not more of them than this. */
const KEPT = 30 * 24 * 3600 * 1000
const MOST_KEPT = 5000

/** The finished jobs that are to be forgotten. `jobs`: all of them, newest first. */
export function oldJobs(jobs: readonly Job[], now: Date): Job[] {
  const oldest = now.getTime() - KEPT
  const finished = jobs.filter(job => !isLive(job))
  return finished.filter(
    (job, index) => index >= MOST_KEPT || Date.parse(job.finished_at ?? job.created_at) < oldest,
  )
}
