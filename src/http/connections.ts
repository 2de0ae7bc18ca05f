import type { Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

/**
 * The open connections and what is being answered on each. Node knows those that wait between two requests,
 * but not those on which nothing, or half a header, has come yet.
 */
export class Connections {
  readonly #open = new Set<Socket>()
  readonly #answers = new WeakMap<Socket, ServerResponse>()

  constructor(server: Server, event: 'connection' | 'secureConnection') {
    server.on(event, (socket: Socket) => {
      this.#open.add(socket)
      socket.once('close', () => this.#open.delete(socket))
    })
  }

  begin(answer: ServerResponse) {
    const { socket } = answer.req
    this.#answers.set(socket, answer)
    answer.once('close', () => {
      // A request that was sent without waiting may be the current one already.
      if (this.#answers.get(socket) === answer) this.#answers.delete(socket)
    })
  }

  answerOn(socket: Socket): ServerResponse | undefined {
    return this.#answers.get(socket)
  }

  /** Ends those on which nothing is being answered. */
  closeIdle() {
    for (const socket of this.#open) if (!this.#answers.has(socket)) socket.destroy()
  }
}
