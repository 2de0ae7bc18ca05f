import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { OperatorError, UsageError } from '../util/operator-error.ts'
import { clientCommand } from './client-command.ts'
import { readUuid, uuidArg } from './uuid-arg.ts'

/** Content types by their first bytes; the extension of a file may be wrong. */
const KINDS: readonly (readonly [string, Buffer])[] = [
  ['image/png', Buffer.from([0x89, 0x50, 0x4e, 0x47])],
  ['image/jpeg', Buffer.from([0xff, 0xd8, 0xff])],
  ['image/gif', Buffer.from('GIF8')],
]

export const addIcon = clientCommand({
  meta: { name: 'add-icon', description: 'Upload the icon of an image: PNG, JPEG or GIF, at most 128 KiB' },
  args: {
    uuid: uuidArg,
    file: { type: 'string', alias: 'f', valueHint: 'FILE', description: 'the icon file', complete: 'file' },
  },
  examples: ['imgapi add-icon 6de01e97-d7ec-4906-bd8b-cb4eafdb7c8b -f icon.png'],
  async run({ uuid, file, json }, { client, print, say }) {
    if (file === undefined) throw new UsageError('name the icon with -f FILE')
    const icon = readFileSync(file)
    const contentType = KINDS.find(([, magic]) => icon.subarray(0, magic.length).equals(magic))?.[0]
    if (!contentType) throw new OperatorError(`${file}: not a PNG, JPEG or GIF image`)
    const sha1 = createHash('sha1').update(icon).digest('hex')
    const image = await client.addIcon(readUuid(uuid), icon, contentType, sha1)
    if (json) return print(image)
    say(
      `added the icon of ${image.uuid} (${image.name} ${image.version}): ${icon.length} bytes, ${contentType}`,
    )
  },
})
