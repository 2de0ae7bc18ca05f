import { clientCommand } from './client-command.ts'

export const ping = clientCommand({
  meta: { name: 'ping', description: 'Check whether a server answers' },
  args: {},
  examples: ['imgapi ping', 'imgapi ping -u http://images.example.com:8080'],
  async run({ json }, { client, print, say }) {
    const started = performance.now()
    const pong = await client.ping()
    const milliseconds = Math.round(performance.now() - started)
    if (json) print(pong)
    const as = pong.user ? `, you are ${pong.user}` : ''
    say(`${client.url.href}: ${pong.ping}, version ${pong.version ?? 'unknown'}${as} (${milliseconds} ms)`)
  },
})
