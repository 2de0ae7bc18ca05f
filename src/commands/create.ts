import { UsageError } from '../util/operator-error.ts'
import { clientCommand } from './client-command.ts'
import { fieldsArg, parseFields, readJsonObject } from './fields.ts'

export const create = clientCommand({
  meta: { name: 'create', description: 'Create an image without a file; the server chooses the UUID' },
  args: {
    field: fieldsArg,
    manifest: {
      type: 'string',
      alias: 'm',
      valueHint: 'FILE',
      description: 'file with fields, - for stdin; fields on the command line take precedence',
      complete: 'file',
    },
  },
  examples: [
    'imgapi create name=my-image version=1.0.0 type=zone-dataset os=smartos public=true',
    'imgapi create -m manifest.json version=1.0.1 tags.role=web',
    'uuid=$(imgapi create -q name=my-image version=1.0.0 type=zone-dataset os=smartos)',
  ],
  async run({ field, manifest, json, quiet }, { client, print, say }) {
    if (field.length === 0 && manifest === undefined) {
      throw new UsageError('name the fields of the image, or a file with them (-m FILE)')
    }
    const given = manifest === undefined ? {} : readJsonObject(manifest)
    const image = await client.createImage({ ...given, ...parseFields(field) })
    if (json) return print(image)
    if (quiet) return console.log(image.uuid)
    say(`created ${image.uuid} (${image.name} ${image.version}); now add its file:`)
    say(`  imgapi add-file ${image.uuid} -f FILE`)
  },
})
