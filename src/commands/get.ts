import { clientCommand } from './client-command.ts'
import { readUuid, uuidArg } from './uuid-arg.ts'

export const get = clientCommand({
  meta: { name: 'get', description: 'Show the manifest of an image' },
  args: { uuid: uuidArg },
  examples: ['imgapi get 6de01e97-d7ec-4906-bd8b-cb4eafdb7c8b'],
  run: async ({ uuid }, { client, print }) => print(await client.getImage(readUuid(uuid))),
})
