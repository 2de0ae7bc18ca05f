import { readFileSync } from 'node:fs'
import { expect } from 'vitest'
import { needs } from '../support/programs.ts'
import { run } from '../support/run.ts'

const MANIFEST = new URL('../../support-files/imgapid.xml', import.meta.url).pathname
const CONFIG = '/opt/local/etc/imgapid/configuration.json'

const test = needs('xmllint', 'libxml2-utils')

/** The value of an XPath expression, as text. */
async function xpath(expression: string): Promise<string> {
  const { code, stdout, stderr } = await run('xmllint', ['--xpath', expression, '--nonet', MANIFEST])
  if (code !== 0) throw new Error(`${expression}: ${stderr}`)
  return stdout.trim()
}

const text = (expression: string) => xpath(`string(${expression})`)

test('the manifest is well-formed XML of the type that svccfg imports', async () => {
  const { code, stderr } = await run('xmllint', ['--noout', '--nonet', MANIFEST])
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  expect(readFileSync(MANIFEST, 'utf8')).toContain(
    '<!DOCTYPE service_bundle SYSTEM "/usr/share/lib/xml/dtd/service_bundle.dtd.1">',
  )
  expect(await text('/service_bundle/@type')).toBe('manifest')
})

/** What service_bundle.dtd.1 says of the elements that we use: their children in this order. */
const CHILDREN: Record<string, RegExp> = {
  service_bundle: /^service$/,
  service:
    /^create_default_instance single_instance( dependency)+ method_context( exec_method)+( property_group)+ stability template$/,
  dependency: /^service_fmri$/,
  method_context: /^method_credential method_environment$/,
  method_environment: /^envvar$/,
  property_group: /^propval( propval)*$/,
  template: /^common_name description$/,
  common_name: /^loctext$/,
  description: /^loctext$/,
}

for (const [element, children] of Object.entries(CHILDREN)) {
  test(`the children of <${element}> stand in the order of the DTD`, async () => {
    const count = Number(await xpath(`count(//${element})`))
    expect(count).toBeGreaterThan(0)
    for (let nth = 1; nth <= count; nth++) {
      const parent = `(//${element})[${nth}]`
      const size = Number(await xpath(`count(${parent}/*)`))
      const names = []
      for (let child = 1; child <= size; child++) names.push(await xpath(`name(${parent}/*[${child}])`))
      expect(names.join(' ')).toMatch(children)
    }
  })
}

test('the service has the name that the predecessor had, so that its import replaces that one', async () => {
  expect(await text('//service/@name')).toBe('application/imgapid')
  expect(await xpath('count(//single_instance)')).toBe('1')
})

test('importing it starts nothing: `svcadm enable imgapid` does', async () => {
  expect(await text('//create_default_instance/@enabled')).toBe('false')
  expect(await xpath('count(//instance)')).toBe('0')
})

test('it waits for the network and the file systems', async () => {
  const dependency = (name: string) => `//dependency[service_fmri/@value="svc:/${name}:default"]`
  expect(await text(`${dependency('milestone/network')}/@restart_on`)).toBe('error')
  expect(await text(`${dependency('system/filesystem/local')}/@restart_on`)).toBe('none')
  expect(await xpath('count(//dependency[@grouping="require_all"])')).toBe('2')
})

test('it runs as imgapid, not as root, and may take a port below 1024', async () => {
  expect(await text('//service/method_context/method_credential/@user')).toBe('imgapid')
  expect(await text('//service/method_context/method_credential/@group')).toBe('imgapid')
  expect(await text('//method_credential/@privileges')).toBe('basic,net_privaddr')
  expect(await text('//envvar[@name="PATH"]/@value')).toMatch(/^\/opt\/local\/bin:/)
})

test('the start returns at once and leaves the server to the contract', async () => {
  expect(await text('//exec_method[@name="start"]/@exec')).toBe(
    '"/opt/local/sbin/imgapid" -s -c %{config_file} &',
  )
  expect(await text('//propval[@name="duration"]/@value')).toBe('contract')
  expect(await text('//property_group[@name="application"]/propval[@name="config_file"]/@value')).toBe(CONFIG)
})

test('stopping asks and waits longer than transfers may take to finish; refreshing reloads', async () => {
  expect(await text('//exec_method[@name="stop"]/@exec')).toBe(':kill')
  expect(Number(await text('//exec_method[@name="stop"]/@timeout_seconds'))).toBeGreaterThan(300)
  expect(await text('//exec_method[@name="refresh"]/@exec')).toBe(':kill -HUP')
})
