import type { Server, ServerResponse } from 'node:http'
import { Server as TlsServer } from 'node:https'
import type { Socket } from 'node:net'
import type { ConnectionLimit } from './connection-limit.ts'

const peerOf = ({ remoteAddress, remotePort }: Socket) => `${remoteAddress} ${remotePort}`

/**
 * The open connections of a listener and what is being answered on each. Node knows those that wait between two
 * requests, but not those on which nothing, half a TLS handshake, or half a header, has come yet.
 */
export class Connections {
  readonly #limit: ConnectionLimit
  readonly #open = new Set<Socket>()
  readonly #answers = new WeakMap<Socket, ServerResponse>()
  /** The connection below one that is encrypted. */
  readonly #below = new WeakMap<Socket, Socket>()

  constructor(server: Server, limit: ConnectionLimit) {
    this.#limit = limit
    server.on('connection', (socket: Socket) => {
      limit.open(socket)
      this.#open.add(socket)
      socket.once('close', () => this.#open.delete(socket))
    })
    if (server instanceof TlsServer) this.#follow(server)
  }

  /** Node does not say which connection an encrypted one is on; both have the same peer. */
  #follow(server: Server) {
    const handshakes = new Map<string, Socket>()
    server.on('connection', socket => {
      const peer = peerOf(socket)
      handshakes.set(peer, socket)
      socket.once('close', () => {
        if (handshakes.get(peer) === socket) handshakes.delete(peer)
      })
    })
    server.on('secureConnection', (secure: Socket) => {
      const socket = handshakes.get(peerOf(secure))
      if (!socket) return
      this.#below.set(secure, socket)
      handshakes.delete(peerOf(secure))
    })
  }

  /** False if too many requests are being answered; this one is not counted then. */
  begin(answer: ServerResponse): boolean {
    const { socket } = answer.req
    this.#answers.set(socket, answer)
    answer.once('close', () => {
      // A request that was sent without waiting may be the current one already.
      if (this.#answers.get(socket) !== answer) return
      this.#answers.delete(socket)
      this.#limit.end(this.#bottomOf(socket))
    })
    return this.#limit.begin(this.#bottomOf(socket))
  }

  answerOn(socket: Socket): ServerResponse | undefined {
    return this.#answers.get(socket)
  }

  /** Ends those on which nothing is being answered. */
  closeIdle() {
    for (const socket of this.#open) if (!this.#limit.isBusy(socket)) socket.destroy()
  }

  #bottomOf(socket: Socket): Socket {
    return this.#below.get(socket) ?? socket
  }
}
