import { Readable } from 'node:stream'
import { expect, test } from 'vitest'
import type { Images } from '../../src/images/images.ts'
import { ReceiveError, type ReceiveProblem } from '../../src/images/ports.ts'
import { receiveUpload } from '../../src/images/receive-upload.ts'
import { downloadError } from '../../src/imports/jobs/download-error.ts'

/** The storage says why a body was not received; uploads and downloads say it in their own words. */

const PROBLEMS: [ReceiveProblem, { upload: string; download: string }][] = [
  [
    { reason: 'closed', size: 5 },
    { upload: 'the connection closed after 5 bytes', download: 'the connection closed after 5 bytes' },
  ],
  [
    { reason: 'stalled', size: 5, seconds: 30 },
    {
      upload: 'no byte arrived for 30 seconds, after 5 bytes: send the file again',
      download: 'no byte arrived for 30 seconds, after 5 bytes',
    },
  ],
  [
    { reason: 'wrong-size', size: 5, expectedSize: 6 },
    {
      upload: '"Content-Length" header, 6, does not match uploaded size, 5',
      download: '"size" file field, 6, does not match the downloaded file size, 5',
    },
  ],
  [
    { reason: 'too-large', message: 'more than allowed' },
    { upload: 'more than allowed', download: 'more than allowed' },
  ],
]

const receiveWith = (error: Error) =>
  receiveUpload(
    { files: { receive: () => Promise.reject(error) } } as unknown as Images,
    Readable.from([]),
    {},
  )

test.each(PROBLEMS)('%j', async (problem, { upload, download }) => {
  const error = new ReceiveError(problem)
  await expect(receiveWith(error)).rejects.toMatchObject({ code: 'Upload', status: 400, message: upload })
  expect(downloadError(error)).toMatchObject({ code: 'Download', status: 400, message: download })
})

test('any other error is not worded', async () => {
  const error = new Error('of the disk')
  await expect(receiveWith(error)).rejects.toBe(error)
  expect(downloadError(error)).toBe(error)
})
