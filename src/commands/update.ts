import { UsageError } from '../util/operator-error.ts'
import { clientCommand } from './client-command.ts'
import { fieldsArg, parseFields, readJsonObject } from './fields.ts'
import { readUuid, uuidArg } from './uuid-arg.ts'

export const update = clientCommand({
  meta: {
    name: 'update',
    description: 'Change fields of an image; an object such as tags is replaced as a whole',
  },
  args: {
    uuid: uuidArg,
    field: { ...fieldsArg, description: 'fields to change; an empty value removes the field' },
    manifest: {
      type: 'string',
      alias: 'm',
      valueHint: 'FILE',
      description: 'file with fields, - for stdin; fields on the command line take precedence',
      complete: 'file',
    },
  },
  examples: [
    'imgapi update 6de01e97-d7ec-4906-bd8b-cb4eafdb7c8b description="My first image" public=true',
    'imgapi update 6de01e97-d7ec-4906-bd8b-cb4eafdb7c8b homepage= requirements.min_ram=512',
  ],
  async run({ uuid, field, manifest, json }, { client, print, say }) {
    if (field.length === 0 && manifest === undefined) {
      throw new UsageError('name the fields to change, or a file with them (-m FILE)')
    }
    const given = manifest === undefined ? {} : readJsonObject(manifest)
    const body = { ...given, ...parseFields(field) }
    const image = await client.act(readUuid(uuid), 'update', { body })
    if (json) return print(image)
    say(`updated ${image.uuid} (${image.name} ${image.version}): ${Object.keys(body).join(', ')}`)
  },
})
