import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { expect, test } from 'vitest'
import { z } from 'zod'
import packageJson from '../package.json' with { type: 'json' }
import { parseConfig, Schema } from '../src/config/config.ts'
import { namesIn } from './support/folders.ts'
import { LONG_TEST_TIMEOUT, TEST_TIMEOUT } from './support/patience.ts'
import { needsAll } from './support/programs.ts'
import { run } from './support/run.ts'
import { PROGRAM, startServer } from './support/server.ts'
import { until } from './support/until.ts'

/** The README shows what can be pasted, so it is pasted here. Its blocks say by their info string where to. */

const ROOT = new URL('..', import.meta.url).pathname
const README = readFileSync(join(ROOT, 'README.md'), 'utf8')
const EXAMPLE = JSON.parse(readFileSync(join(ROOT, 'imgapi.example.json'), 'utf8'))

const BLOCKS = [...README.matchAll(/^```([\w ]*)\n([\s\S]*?)^```$/gm)].map(([, info, text]) => ({
  info: info!,
  text: text!,
}))
const blocks = (info: string) => BLOCKS.filter(block => block.info === info).map(({ text }) => text)

test('every block says what it is', () => {
  const kinds = ['sh clone', 'sh run', 'sh run last', 'sh smartos', 'sh root', 'json', '']
  for (const { info, text } of BLOCKS) expect(kinds, text).toContain(info)
  expect(BLOCKS.length).toBeGreaterThan(15)
})

needsAll({ curl: 'curl', openssl: 'openssl', tar: 'tar' })(
  'what it shows with curl and imgapi works as pasted',
  async () => {
    const source = await startServer()
    const mirrors = [{ source: source.url }]
    const [gateway] = blocks('json').filter(text => text.includes('"mistify"'))
    const server = await startServer({ config: { ...EXAMPLE, ...JSON.parse(gateway!), port: 0, mirrors } })
    const { folder } = server
    mkdirSync(join(folder, 'bin'))
    symlinkSync(PROGRAM, join(folder, 'bin/imgapi'))
    writeFileSync(join(folder, 'imgapi.example.json'), JSON.stringify(EXAMPLE))
    const script = [...blocks('sh run'), ...blocks('sh run last')]
      .join('\n')
      .replaceAll('http://127.0.0.1:8080', server.url)
      .replaceAll('/var/tmp', folder)
    const { code, stdout, stderr } = await run('sh', ['-eu'], {
      input: script,
      cwd: folder,
      env: { PATH: [join(folder, 'bin'), process.env.PATH].join(delimiter) },
      timeout: TEST_TIMEOUT,
    })
    expect({ code, stdout }, stderr).toMatchObject({ code: 0 })
    expect(stdout).toContain('$scrypt$ln=15,')
    expect(stdout).toContain('no problem found')
    const { uuid } = /"uuid": "(?<uuid>.*)"/.exec(stdout)!.groups!
    const fetched = readFileSync(join(folder, `.imgadm-downloads/${uuid}.file`))
    expect(fetched.equals(readFileSync(join(folder, 'my-image.zfs.gz')))).toBe(true)
    expect(stdout).toContain(`${source.url}/: 0 imported, `)
    expect(stdout).toContain('imgadm install -m db-1.0.0-')
    await until('the drop folder is empty', () => namesIn(join(folder, 'imgapi-data/incoming')).length === 0)
    await server.stop()
    const dropped = server.log().filter(({ msg }) => msg.startsWith('drop folder: '))
    expect(dropped.map(({ msg }) => msg)).toEqual([expect.stringContaining('(web 1.0.0) was here already')])
    const answers = server
      .log()
      .flatMap(({ route, res }) =>
        route ? [{ route, status: (res as { statusCode: number }).statusCode }] : [],
      )
    // `publish` looks first whether the image is there.
    const refused = answers.filter(({ status }) => status >= 400)
    expect(refused).toEqual([{ route: 'GetImage', status: 404 }])
    const times = (name: string) => answers.filter(({ route }) => route === name).length
    expect([times('CreateImage'), times('AdminImportImage'), times('ActivateImage')]).toEqual([2, 1, 3])
    expect([times('AddImageFile'), times('GetImageFile'), times('DeleteImage')]).toEqual([3, 3, 2])
    const mistify = answers.filter(({ route }) => (route as string).startsWith('Mistify.'))
    const calls = ['UploadImage', 'GetImage', 'DownloadImage', 'DeleteImage']
    expect(mistify.map(({ route }) => route)).toEqual(calls.map(name => `Mistify.${name}`))
  },
  LONG_TEST_TIMEOUT,
)

test('the two commands for a clone are there, and the first starts the server of the example', () => {
  const scripts: Record<string, string> = packageJson.scripts
  for (const command of blocks('sh clone')) {
    const [install, then] = command.trim().split(' && ')
    expect(install).toBe('npm ci')
    expect(Object.keys(scripts)).toContain(then!.replace(/^npm /, ''))
  }
  expect(scripts.start).toMatch(/node dist\/imgapi\.js -s -c imgapi\.example\.json$/)
  const [user] = EXAMPLE.userdb
  expect(README).toContain(
    `a user \`${user.name}\`, password \`${user.password}\`, on http://${EXAMPLE.host}:${EXAMPLE.port}`,
  )
})

test('what needs root or SmartOS is shell that can be read, of files that are there', async () => {
  for (const text of [...blocks('sh root'), ...blocks('sh smartos')]) {
    expect(await run('sh', ['-nu'], { input: text })).toEqual({ code: 0, stdout: '', stderr: '' })
  }
  const ours = README.match(/\b(support-files|dist)\/[\w./-]+\w|\bimgapi\.example\.json\b/g)!
  expect(ours.length).toBeGreaterThan(8)
  // The single executable is made on demand.
  for (const path of ours.filter(path => path !== 'dist/imgapi'))
    expect(existsSync(join(ROOT, path)), path).toBe(true)
})

test('the SMF steps are those of the predecessor', () => {
  const steps = blocks('sh smartos').find(text => text.includes('roleadd'))!
  for (const step of [
    'groupadd imgapid',
    'roleadd -g imgapid -c "Image API Server" -d /data/imgapid -s /bin/false imgapid',
    'mkdir -p /data/imgapid',
    'chown imgapid:imgapid /data/imgapid',
    'mkdir /opt/local/etc/imgapid/',
    'cat > /opt/local/etc/imgapid/configuration.json <<EOT',
    'cp dist/imgapi.js /opt/local/sbin/imgapid',
    'svccfg import support-files/imgapid.xml',
    'svcadm enable imgapid',
  ]) {
    expect(steps.split('\n')).toContain(step)
  }
  const [config] = /^\{[\s\S]*?^\}$/m.exec(steps)!
  expect(parseConfig(JSON.parse(config), 'README')).toMatchObject({ datadir: '/data/imgapid', port: 8080 })
})

test('the systemd steps make a config whose images are where the unit lets the server write', async () => {
  const steps = blocks('sh root').find(text => text.includes('systemctl'))!
  const [, expression] = /^sed -i '(.*)' /m.exec(steps)!
  const { stdout } = await run('sed', [expression!, join(ROOT, 'imgapi.example.json')])
  const unit = readFileSync(join(ROOT, 'support-files/imgapid.service'), 'utf8')
  expect(`/var/lib/${/^StateDirectory=(.*)$/m.exec(unit)![1]}`).toBe(JSON.parse(stdout).datadir)
  const [, program, config] = /^ExecStart=(\S+) serve -c (\S+)$/m.exec(unit)!
  expect(steps).toContain(`cp dist/imgapi.js ${program}\n`)
  expect(steps).toContain(`cp imgapi.example.json ${config}\n`)
})

test('each piece of config it shows is one', () => {
  expect(blocks('json').length).toBeGreaterThan(2)
  for (const text of blocks('json')) parseConfig({ datadir: '/images', ...JSON.parse(text) }, 'README')
})

interface Described {
  description?: string
  default?: unknown
  enum?: string[]
  properties?: Record<string, Described>
  items?: Described
}

/** A row for a key, and one for each key within it. */
function rows(name: string, schema: Described): string[] {
  const values = schema.enum ? `${schema.enum.map(value => `\`${value}\``).join(', ')}: ` : ''
  const isShown = typeof schema.default !== 'object' && (schema.default ?? '') !== ''
  const byDefault = isShown ? ` \`${schema.default}\`` : ''
  const own = `| \`${name}\` |${byDefault} | ${values}${schema.description} |`
  const inner = [
    ...Object.entries(schema.properties ?? {}).map(([key, value]) => rows(`${name}.${key}`, value)),
    ...Object.entries(schema.items?.properties ?? {}).map(([key, value]) => rows(`${name}[].${key}`, value)),
  ]
  return [own, ...inner.flat()]
}

test('the table of the config has every key, its default and its meaning, as the program has them', () => {
  const { properties } = z.toJSONSchema(Schema, { io: 'input' }) as Described
  const expected = Object.entries(properties!).flatMap(([key, schema]) => rows(key, schema))
  expect(expected.join()).not.toContain('undefined')
  const [, table] = /<!-- config: .* -->\n([\s\S]*?)<!-- \/config -->/.exec(README)!
  // The formatter pads the columns.
  const lines = table!.trim().split('\n')
  const unpadded = lines.map(line => line.replace(/ +/g, ' ').replace(/-{3,}/g, '---'))
  expect(unpadded).toEqual(['| key | default | meaning |', '| --- | --- | --- |', ...expected])
})
