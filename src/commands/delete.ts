import { clientCommand } from './client-command.ts'
import { readUuid, uuidsArg } from './uuid-arg.ts'

export const deleteCommand = clientCommand({
  meta: { name: 'delete', description: 'Delete images and their files' },
  args: {
    uuid: uuidsArg,
    'all-channels': {
      type: 'boolean',
      description: 'delete them from all channels, not only from that of --channel',
    },
  },
  examples: ['imgapi delete 6de01e97-d7ec-4906-bd8b-cb4eafdb7c8b'],
  async run({ uuid: uuids, 'all-channels': everyChannel, json }, { client, print, say }) {
    const deleted = []
    for (const uuid of uuids.map(one => readUuid(one))) {
      await client.deleteImage(uuid, { everyChannel })
      deleted.push(uuid)
      say(`deleted ${uuid}`)
    }
    if (json) print(deleted)
  },
})
