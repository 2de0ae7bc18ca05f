import { UsageError } from '../util/operator-error.ts'
import { clientCommand } from './client-command.ts'
import { readUuid, uuidArg } from './uuid-arg.ts'

const ACTIONS = ['add', 'remove'] as const

export const acl = clientCommand({
  meta: { name: 'acl', description: 'Grant accounts access to a private image, or revoke it' },
  args: {
    action: {
      type: 'positional',
      valueHint: 'add|remove',
      description: 'grant or revoke access',
      complete: ACTIONS,
    },
    uuid: uuidArg,
    account: { type: 'positional', rest: true, valueHint: 'ACCOUNT', description: 'UUIDs of the accounts' },
  },
  examples: [
    'imgapi acl add 6de01e97-d7ec-4906-bd8b-cb4eafdb7c8b 930896af-bf8c-48d4-885c-6573a94b1853',
    'imgapi acl remove 6de01e97-d7ec-4906-bd8b-cb4eafdb7c8b 930896af-bf8c-48d4-885c-6573a94b1853',
  ],
  async run({ action, uuid, account: accounts, json }, { client, print, say }) {
    const verb = ACTIONS.find(candidate => candidate === action)
    if (!verb) throw new UsageError(`${action}: expected add or remove`)
    const ids = accounts.map(account => readUuid(account, 'the UUID of an account'))
    const image = await client.changeAcl(readUuid(uuid), verb, ids)
    if (json) return print(image)
    const list = Array.isArray(image.acl) ? image.acl.join(', ') : 'no account'
    say(`${image.uuid} (${image.name} ${image.version}) is shared with ${list}`)
  },
})
