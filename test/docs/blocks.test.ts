import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import packageJson from '../../package.json' with { type: 'json' }
import { parseConfig } from '../../src/config/config.ts'
import { ALL_BLOCKS, BLOCKS, EXAMPLE, MANUALS, ROOT, read, texts } from '../support/documents.ts'
import { run } from '../support/run.ts'

/** What documents show and a test cannot run as it stands. */

test('every block says what it is', () => {
  const kinds = ['sh clone', 'sh run', 'sh smartos', 'sh root', 'json', 'json run', '']
  for (const { info, text } of ALL_BLOCKS) expect(kinds, text).toContain(info)
  expect(ALL_BLOCKS.length).toBeGreaterThan(40)
})

test('the two commands for a clone are there, and the first starts the server of the example', () => {
  const scripts: Record<string, string> = packageJson.scripts
  const commands = texts(ALL_BLOCKS, 'sh clone')
  expect(commands).toEqual(['npm ci && npm start\n', 'npm ci && npm test\n'])
  for (const command of commands) {
    expect(Object.keys(scripts)).toContain(command.trim().replace('npm ci && npm ', ''))
  }
  expect(scripts.start).toMatch(/node dist\/imgapi\.js -s -c imgapi\.example\.json$/)
  const [user] = EXAMPLE.userdb
  expect(read('README.md')).toContain(
    `a user \`${user.name}\`, password \`${user.password}\`, on http://${EXAMPLE.host}:${EXAMPLE.port}`,
  )
})

test('what needs root or SmartOS is shell that can be read, of files that exist', async () => {
  for (const text of [...texts(ALL_BLOCKS, 'sh root'), ...texts(ALL_BLOCKS, 'sh smartos')]) {
    expect(await run('sh', ['-nu'], { input: text }), text).toEqual({ code: 0, stdout: '', stderr: '' })
  }
  const all = MANUALS.map(read).join('\n')
  const ours = all.match(/(?<![\w./-])(support-files|dist)\/[\w./-]+\w|\bimgapi\.example\.json\b/g)!
  expect(ours.length).toBeGreaterThan(15)
  // The single executable is made on demand.
  for (const path of ours.filter(path => path !== 'dist/imgapi'))
    expect(existsSync(join(ROOT, path)), path).toBe(true)
})

const deploying = (info: string, word: string) =>
  texts(BLOCKS.get('support-files/doc/deploying.md')!, info).find(text => text.includes(word))!

test('the SMF steps are those of the predecessor', () => {
  const steps = deploying('sh smartos', 'roleadd')
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
  expect(parseConfig(JSON.parse(config), 'deploying.md')).toMatchObject({
    datadir: '/data/imgapid',
    port: 8080,
  })
})

test('the systemd steps make a config whose images are where the unit lets the server write', async () => {
  const steps = deploying('sh root', 'systemctl')
  const [, expression] = /^sed -i '(.*)' /m.exec(steps)!
  const { stdout } = await run('sed', [expression!, join(ROOT, 'imgapi.example.json')])
  const unit = read('support-files/imgapid.service')
  expect(`/var/lib/${/^StateDirectory=(.*)$/m.exec(unit)![1]}`).toBe(JSON.parse(stdout).datadir)
  const [, program, config] = /^ExecStart=(\S+) serve -c (\S+)$/m.exec(unit)!
  expect(steps).toContain(`cp dist/imgapi.js ${program}\n`)
  expect(steps).toContain(`cp imgapi.example.json ${config}\n`)
})

test('each piece of config is valid', () => {
  const pieces = [...texts(ALL_BLOCKS, 'json'), ...texts(ALL_BLOCKS, 'json run')]
  expect(pieces.length).toBeGreaterThan(8)
  for (const text of pieces) parseConfig({ datadir: '/images', ...JSON.parse(text) }, text)
})
