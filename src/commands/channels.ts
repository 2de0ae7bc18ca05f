import { ClientError } from '../client/client-error.ts'
import { clientCommand } from './client-command.ts'
import { table } from './table.ts'
import { terminalWidth } from './terminal.ts'

export const channels = clientCommand({
  meta: { name: 'channels', description: 'List the channels of a server' },
  args: {},
  examples: ['imgapi channels'],
  async run({ json }, { client, print, say }) {
    const found = await client.listChannels().catch(error => {
      // A server without channels does not have this endpoint.
      if (error instanceof ClientError && error.isNotFound) return []
      throw error
    })
    if (json) return print(found)
    if (found.length === 0) return say('the server has no channels')
    const rows = found.map(({ name, default: is, description }) => [
      name,
      is ? 'yes' : '-',
      description ?? '',
    ])
    console.log(table(['NAME', 'DEFAULT', 'DESCRIPTION'], rows, { width: terminalWidth() }))
  },
})
