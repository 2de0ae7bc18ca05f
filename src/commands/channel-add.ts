import { clientCommand } from './client-command.ts'
import { readUuid, uuidsArg } from './uuid-arg.ts'

export const channelAdd = clientCommand({
  meta: { name: 'channel-add', description: 'Add images of one channel (--channel) to another channel' },
  args: {
    target: { type: 'positional', valueHint: 'CHANNEL', description: 'channel to add them to' },
    uuid: uuidsArg,
  },
  examples: ['imgapi channel-add release 6de01e97-d7ec-4906-bd8b-cb4eafdb7c8b -C staging'],
  async run({ target, uuid: uuids, json }, { client, print, say }) {
    const images = []
    for (const uuid of uuids.map(one => readUuid(one))) {
      const image = await client.act(uuid, 'channel-add', { body: { channel: target } })
      images.push(image)
      const where = Array.isArray(image.channels) ? image.channels.join(', ') : target
      say(`${image.uuid} (${image.name} ${image.version}) is in ${where}`)
    }
    if (json) print(images.length === 1 ? images[0] : images)
  },
})
