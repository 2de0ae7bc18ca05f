import { clientCommand } from './client-command.ts'
import type { Command } from './command.ts'
import { readUuid, uuidsArg } from './uuid-arg.ts'

interface Action {
  name: 'activate' | 'enable' | 'disable'
  description: string
  /** As in `enabled UUID`. */
  done: string
}

/** Makes a command that applies one action to each image. */
export const imageAction = ({ name, description, done }: Action): Command =>
  clientCommand({
    meta: { name, description },
    args: { uuid: uuidsArg },
    examples: [`imgapi ${name} 6de01e97-d7ec-4906-bd8b-cb4eafdb7c8b`],
    async run({ uuid: uuids, json }, { client, print, say }) {
      const images = []
      for (const uuid of uuids.map(one => readUuid(one))) {
        const image = await client.act(uuid, name)
        images.push(image)
        say(`${done} ${image.uuid} (${image.name} ${image.version}): ${image.state}`)
      }
      if (json) print(images.length === 1 ? images[0] : images)
    },
  })
