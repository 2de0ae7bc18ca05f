import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { call, uuid } from '../support/api.ts'
import { writeImage } from '../support/datadir.ts'
import { startServer } from '../support/server.ts'

test.each(['asc', 'desc'])(
  '1,500 images of one and the same published_at are each seen once by who pages, %s',
  async order => {
    const folder = mkdtempSync(join(tmpdir(), 'imgapi-test-'))
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
    const uuids = Array.from({ length: 1500 }, uuid)
    for (const id of uuids) writeImage(folder, id, { published_at: '2024-05-05T05:05:05Z' })
    const server = await startServer({ folder })
    const seen: string[] = []
    for (let marker = ''; ; ) {
      const { body } = await call(server, 'GET', `/images?limit=1000&sort=published_at.${order}${marker}`)
      const page: string[] = body.map((image: { uuid: string }) => image.uuid)
      // The marker comes again as the first of the next page, and clients drop it.
      seen.push(...(marker ? page.slice(1) : page))
      if (page.length < 1000) break
      marker = `&marker=${page.at(-1)}`
    }
    expect(seen).toHaveLength(1500)
    expect(new Set(seen)).toEqual(new Set(uuids))
  },
)
