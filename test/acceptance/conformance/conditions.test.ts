import { type Case, conformance, preconditionFailed } from './runner.ts'

/** Section 2.7, on GetImage and on the actions; what is compared is the manifest's ETag. */

const CONDITIONS: Case[] = [
  ...['"{etag}"', '{etag}', 'W/"{etag}"', '"x", "{etag}"', '*'].flatMap((value): Case[] => [
    {
      name: `If-Match ${value} reads the image`,
      given: 'active',
      request: 'GET /images/{image}',
      headers: { 'if-match': value },
      expect: { body: { uuid: '{image}' } },
    },
    {
      name: `If-None-Match ${value} reads nothing`,
      given: 'active',
      request: 'GET /images/{image}',
      headers: { 'if-none-match': value },
      expect: { status: 304, text: '', headers: { 'content-type': undefined } },
    },
    {
      name: `If-None-Match ${value} changes nothing`,
      given: 'active',
      request: 'POST /images/{image}?action=disable',
      headers: { 'if-none-match': value },
      expect: preconditionFailed(`if-none-match '${value}' matched etag '{etag}'`),
      leaves: { state: 'active' },
    },
  ]),
  {
    name: 'If-Match of another version fails a read',
    given: 'active',
    request: 'GET /images/{image}',
    headers: { 'if-match': '"other"' },
    expect: preconditionFailed(`if-match '"other"' didn't match etag '{etag}'`),
  },
  ...['activate', 'enable', 'disable', 'update'].map(
    (action): Case => ({
      name: `If-Match of another version fails ${action}`,
      given: 'with file',
      request: `POST /images/{image}?action=${action}`,
      headers: { 'if-match': 'other' },
      body: { name: 'changed' },
      expect: preconditionFailed(`if-match 'other' didn't match etag '{etag}'`),
      leaves: { state: 'unactivated', disabled: false, name: 'test-image' },
    }),
  ),
  {
    name: 'If-Match of this version lets a change happen',
    given: 'active',
    request: 'POST /images/{image}?action=update',
    headers: { 'if-match': '{etag}' },
    body: { name: 'changed' },
    expect: { body: { name: 'changed' } },
  },
  {
    name: 'design: If-None-Match * reads no list',
    request: 'GET /images',
    headers: { 'if-none-match': '*' },
    expect: { status: 304, text: '', headers: { etag: /^"/, 'content-type': undefined } },
  },
  {
    name: 'design: If-None-Match of another list reads the list',
    request: 'GET /images',
    headers: { 'if-none-match': '"other"' },
    expect: { status: 200, headers: { etag: /^"/ } },
  },
]

conformance('2.7 conditional requests', CONDITIONS)
