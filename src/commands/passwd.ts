import { text } from 'node:stream/consumers'
import { hashPassword } from '../auth/password.ts'
import { OperatorError } from '../util/operator-error.ts'
import { ask } from './ask.ts'
import { command } from './command.ts'

export const passwd = command({
  meta: { name: 'passwd', description: 'Hash a password for the userdb of a config' },
  args: {},
  examples: ['imgapi passwd', 'pwgen 20 1 | imgapi passwd'],
  async run() {
    const password = process.stdin.isTTY
      ? await askTwice()
      : (await text(process.stdin)).replace(/\r?\n$/, '')
    if (password === '') throw new OperatorError('the password is empty')
    console.log(await hashPassword(password))
  },
})

async function askTwice(): Promise<string> {
  const password = await ask('Password: ')
  if ((await ask('Repeat password: ')) !== password) throw new OperatorError('the passwords differ')
  return password
}
