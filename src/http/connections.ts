import type { Server, ServerResponse } from 'node:http'
import { Server as TlsServer } from 'node:https'
import type { Socket } from 'node:net'
import type { ConnectionLimit } from './connection-limit.ts'

const peerOf = ({ remoteAddress, remotePort }: Socket) => `${remoteAddress} ${remotePort}`

/**
 * The open connections of a listener and the answer in progress on each. Node itself tracks connections between two
 * requests, but not those that have not sent a complete TLS handshake or request header yet.
 */
export class Connections {
  readonly #limit: ConnectionLimit
  readonly #open = new Set<Socket>()
  readonly #answers = new WeakMap<Socket, ServerResponse>()
  /** The TCP connection of each TLS connection. */
  readonly #tcp = new WeakMap<Socket, Socket>()

  constructor(server: Server, limit: ConnectionLimit) {
    this.#limit = limit
    server.on('connection', (socket: Socket) => {
      limit.open(socket)
      this.#open.add(socket)
      socket.once('close', () => this.#open.delete(socket))
    })
    if (server instanceof TlsServer) this.#follow(server)
  }

  /** Finds the TCP connection of each TLS connection, which Node does not expose, by their common peer. */
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
      this.#tcp.set(secure, socket)
      handshakes.delete(peerOf(secure))
    })
  }

  /** Starts an answer. Returns false if too many requests are being answered; then it is not counted. */
  begin(answer: ServerResponse): boolean {
    const { socket } = answer.req
    this.#answers.set(socket, answer)
    answer.once('close', () => {
      // With pipelining the next request of the connection may be the current one already.
      if (this.#answers.get(socket) !== answer) return
      this.#answers.delete(socket)
      this.#limit.end(this.#tcpOf(socket))
    })
    return this.#limit.begin(this.#tcpOf(socket))
  }

  /** Returns the answer in progress on a connection. */
  answerOn(socket: Socket): ServerResponse | undefined {
    return this.#answers.get(socket)
  }

  /** Closes the connections without a request that is being answered. */
  closeIdle() {
    for (const socket of this.#open) if (!this.#limit.isBusy(socket)) socket.destroy()
  }

  #tcpOf(socket: Socket): Socket {
    return this.#tcp.get(socket) ?? socket
  }
}
