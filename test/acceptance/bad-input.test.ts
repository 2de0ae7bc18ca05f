import { createHash } from 'node:crypto'
import { readdirSync } from 'node:fs'
import { gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { FIELD_NAMES } from '../../src/images/fields.ts'
import { call, create, manifest, publish } from '../support/api.ts'
import { rawRequest, sendRaw } from '../support/raw-http.ts'
import { expectRawRefusal, expectRefusal } from '../support/refusal.ts'
import type { TestServer } from '../support/server.ts'
import { shareUnshakenServer } from '../support/shared-server.ts'

/** Whatever a client sends, it is told what is wrong, in JSON, and the server goes on. */

let server: TestServer
let image: string

shareUnshakenServer(async started => {
  server = started
  image = (await publish(server)).uuid
})

/** Everything in the datadir, so that nothing can have been made beside it. */
const tree = () => readdirSync(server.folder, { recursive: true }).sort()

describe('paths', () => {
  const up = '../../../../etc/passwd'
  const escapes = [
    up,
    encodeURIComponent(up),
    encodeURIComponent(encodeURIComponent(up)),
    up.replaceAll('..', '%2e%2e'),
    up.replaceAll('/', '%2f'),
    up.replaceAll('/', '%5c'),
    '%2fetc%2fpasswd',
    '/etc/passwd',
    '..%00',
    '%00',
    '..',
    '...',
    '.tmp',
    '.cache',
    'manifest.json',
  ]

  test.for(escapes)('GET, PUT, POST and DELETE of images/%s reach nothing', async way => {
    const before = tree()
    for (const path of [`/images/${way}`, `/images/${way}/file`, `/images/${way}/icon`]) {
      for (const method of ['GET', 'PUT', 'DELETE', 'POST']) {
        const answer = await sendRaw(server.port, rawRequest(`${method} ${path}`, {}, 'x'))
        // `..` leaves a path that is there but has no such method.
        expect([400, 404, 405], `${method} ${path}: ${answer.body}`).toContain(answer.status)
        expectRawRefusal(answer)
      }
    }
    expect(tree()).toEqual(before)
  })

  const upper = '0DEAD000-0000-4000-8000-00000000DEAD'
  const bad = [
    upper,
    'short',
    '0'.repeat(36),
    `${upper.toLowerCase()}0`,
    `${upper.toLowerCase()}%0a`,
    '__proto__',
  ]

  test.for(bad)('%s is no UUID', async id => {
    expectRefusal(await call(server, 'GET', `/images/${id}`), 404)
    expectRefusal(await call(server, 'DELETE', `/images/${id}`), 404)
    expectRefusal(await call(server, 'POST', `/images/${id}?action=import`, { body: { uuid: id } }), 404)
  })

  test('any hex digits make a UUID, whatever their version', async () => {
    const id = 'ffffffff-ffff-ffff-ffff-ffffffffffff'
    const body = manifest({ v: 2, uuid: id })
    expect((await call(server, 'POST', `/images/${id}?action=import`, { body })).status).toBe(200)
    expect((await call(server, 'GET', `/images/${id}`)).body.uuid).toBe(id)
  })

  test.for(['/images/%', '/images/%zz', '/images/%c3', '/images/%ff%fe/file', '/%'])(
    '%s is not decoded, and refused',
    async path => expectRawRefusal(await sendRaw(server.port, rawRequest(`GET ${path}`))),
  )

  test.for(['name=%', 'name=%zz', 'name=%c3%28', 'tag.%ff=x', '%=x', 'limit=%e2%28%a1'])(
    'the query %s is not decoded, and refused',
    async query => expectRefusal(await call(server, 'GET', `/images?${query}`), 400),
  )

  test('parameters of an action that are given twice are refused', async () => {
    for (const query of [
      'compression=none&compression=gzip',
      'sha1=a&sha1=b',
      'storage=local&storage=local',
    ]) {
      const { uuid } = await create(server)
      expectRefusal(await call(server, 'PUT', `/images/${uuid}/file?${query}`, { body: 'x' }), 422)
    }
    expectRefusal(await call(server, 'GET', `/images/${image}?account=a&account=b`), 422)
  })
})

describe('types', () => {
  const deep = { a: { b: { c: [{ d: null }] } } }
  const values = [
    null,
    5,
    'text',
    '',
    [],
    ['x'],
    [null],
    {},
    true,
    false,
    deep,
    [deep],
    1e308,
    -0.5,
    { length: 1 },
  ]

  test.for(FIELD_NAMES)('%s of any type is taken or refused by create, import and update', async field => {
    for (const value of values) {
      const id = crypto.randomUUID()
      const body = { [field]: value }
      const answers = await Promise.all([
        call(server, 'POST', '/images', { body: manifest(body) }),
        call(server, 'POST', `/images/${id}?action=import`, { body: manifest({ v: 2, uuid: id, ...body }) }),
        call(server, 'POST', `/images/${image}?action=update`, { body }),
      ])
      for (const answer of answers) {
        if (answer.status !== 200) expectRefusal(answer)
      }
    }
    const { body } = await call(server, 'GET', `/images/${image}`)
    expect(body).toMatchObject({ uuid: image, v: 2, files: [{ size: 1000 }] })
  })

  test.for(['min_ram', 'max_ram', 'networks', 'brand', 'ssh_key', 'min_platform', 'max_platform', 'bootrom'])(
    'requirements.%s of any type is taken or refused',
    async key => {
      for (const value of values) {
        const body = { requirements: { [key]: value } }
        const answer = await call(server, 'POST', `/images/${image}?action=update`, { body })
        if (answer.status !== 200) expectRefusal(answer, 422)
      }
    },
  )

  test.for(['__proto__', 'constructor', 'prototype', '_imgapi', 'toString'])(
    'a key %s is never more than data',
    async key => {
      const body = JSON.stringify(manifest()).replace('{', `{"${key}":{"polluted":true},`)
      const tags = `{"tags":{"${key}":"x","a":"b"}}`
      const id = crypto.randomUUID()
      expect((await call(server, 'POST', '/images', { body })).body).not.toHaveProperty('polluted')
      const imported = JSON.stringify(manifest({ v: 2, uuid: id })).replace(
        '{',
        `{"${key}":{"polluted":true},`,
      )
      await call(server, 'POST', `/images/${id}?action=import`, { body: imported })
      expectRefusal(
        await call(server, 'POST', `/images/${image}?action=update`, { body: `{"${key}":{}}` }),
        422,
      )
      const tagged = await call(server, 'POST', `/images/${image}?action=update`, { body: tags })
      expect(tagged.status).toBe(200)
      expect(JSON.parse(tagged.text).tags.a).toBe('b')
      expect(Object.hasOwn(tagged.body.tags, key)).toBe(true)
      const found = await call(server, 'GET', `/images?tag.${key}=x`)
      expect(found.body.map((one: { uuid: string }) => one.uuid)).toEqual([image])
      expect((await call(server, 'GET', `/images?${key}=x&sort=${key}`)).status).toBe(422)
      const fresh = await create(server)
      expect(fresh).not.toHaveProperty('polluted')
    },
  )
})

describe('bodies', () => {
  const post = (body: string | Buffer, headers: Record<string, string> = {}) =>
    call(server, 'POST', '/images', { body, headers })

  test('JSON of more than 1 MiB is refused, by its length or while it comes', async () => {
    const giant = JSON.stringify(manifest({ description: 'x'.repeat(1024 * 1024) }))
    const line = 'POST /images'
    expectRawRefusal(
      await sendRaw(server.port, rawRequest(line, { 'Content-Length': String(giant.length) })),
      413,
    )
    const chunk = `${giant.length.toString(16)}\r\n${giant}\r\n0\r\n\r\n`
    const chunked = rawRequest(line, { 'Transfer-Encoding': 'chunked' })
    expectRawRefusal(await sendRaw(server.port, Buffer.concat([chunked, Buffer.from(chunk)])), 413)
  })

  test.for(['[', '{"a":'])('deeply nested JSON of %s is refused', async opening => {
    const depth = 100_000
    const body =
      opening.repeat(depth) +
      (opening === '[' ? ']' : `1${'}'.repeat(depth)}`).repeat(opening === '[' ? depth : 1)
    expectRefusal(await post(body), 400)
  })

  test.for([
    ['bytes that are no text', Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x7d])],
    ['a byte order of two bytes', Buffer.from('﻿{}', 'utf16le')],
    ['a zero byte', Buffer.from([0])],
    ['a lone quote', Buffer.from('"')],
    ['NaN', Buffer.from('{"name":NaN}')],
    ['two values', Buffer.from('{}{}')],
  ] as const)('%s is invalid content', async ([, body]) => expectRefusal(await post(body), 400))

  test('a form of nonsense is refused', async () => {
    const headers = { 'content-type': 'application/x-www-form-urlencoded' }
    for (const body of ['a=b', '=', '&&&', '%zz=1', 'name=a&name=b&version=1', '__proto__=x&name=y']) {
      expectRefusal(await post(body, headers))
    }
  })

  test('a Content-MD5 that does not match is refused, whatever it looks like', async () => {
    for (const digest of ['x', 'é', createHash('md5').update('x').digest('hex')]) {
      const answer = await sendRaw(server.port, rawRequest('POST /images', { 'Content-MD5': digest }, '{}'))
      expectRawRefusal(answer, 400)
    }
  })

  test('gzip bodies are read if they are whole and small', async () => {
    const headers = { 'content-encoding': 'gzip' }
    const good = gzipSync(JSON.stringify(manifest()))
    expect((await post(good, headers)).status).toBe(200)
    expectRefusal(await post(good.subarray(0, 30), headers), 400)
    expectRefusal(await post('not gzip at all', headers), 400)
    const bomb = gzipSync(Buffer.alloc(500 * 1024 * 1024, '['), { level: 1 })
    expectRefusal(await post(bomb, headers), 413)
    expectRefusal(await post(gzipSync(Buffer.alloc(50 * 1024 * 1024, '[')), headers), 413)
  })
})
