/** A process in a node's namespace: it listens there, dials others, and says what it is told to. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import process from 'node:process'
import { inside } from '../../../../jepsen-lite/cluster/namespaces/commands.ts'
import type { Place } from '../../../../jepsen-lite/cluster/namespaces/wires.ts'
import { eventually } from '../../../support/eventually.ts'

export const PORT = 7100

const PROGRAM = `
const net = require('node:net')
let current
const take = (socket) => {
  current = socket
  socket.setNoDelay(true)
  socket.on('data', (bytes) => process.send({ heard: String(bytes) }))
  socket.on('error', ({ code }) => process.send({ ended: code }))
}
const server = net.createServer((socket) => {
  take(socket)
  process.send({ accepted: socket.remoteAddress })
})
server.listen(${PORT}, '0.0.0.0', () => process.send({ pid: process.pid }))
process.on('message', ({ dial, say }) => {
  if (dial === undefined) current.write(say)
  else take(net.connect(${PORT}, dial, () => process.send({ connected: dial })))
})
process.on('disconnect', () => process.exit())
`

interface Told {
  readonly pid?: number
  readonly heard?: string
  readonly accepted?: string
  readonly connected?: string
  readonly ended?: string
}

export class NamespacePeer {
  readonly place: Place
  readonly child: ChildProcess
  /** Its own process id, as it sees it. */
  pid = 0
  text = ''
  readonly accepted: string[] = []
  readonly connected: string[] = []
  /** Codes of the errors of its sockets. */
  readonly ended: string[] = []

  static async start(place: Place): Promise<NamespacePeer> {
    const peer = new NamespacePeer(place)
    await eventually(() => peer.pid !== 0, { what: `the process in ${place.name} listens` })
    return peer
  }

  private constructor(place: Place) {
    this.place = place
    const command: readonly string[] = [...inside(place.name), process.execPath, '-e', PROGRAM]
    const [program, ...args] = command as [string, ...string[]]
    this.child = spawn(program, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
    this.child.on('message', (told: Told) => this.#hear(told))
  }

  say(text: string): void {
    this.child.send({ say: text })
  }

  dial(address: string): void {
    this.child.send({ dial: address })
  }

  /** Both have a socket of this one's dial to the other. */
  async connectTo(other: NamespacePeer): Promise<void> {
    this.dial(other.place.address)
    await eventually(() => this.connected.length > 0 && other.accepted.length > 0, { what: 'they are connected' })
  }

  async hears(text: string): Promise<void> {
    await eventually(() => this.text === text, {
      withinMs: 20_000,
      what: `${this.place.id} hears '${text.slice(0, 50)}'`,
    })
  }

  async endsWith(code: string): Promise<void> {
    await eventually(() => this.ended.includes(code), { what: `a socket of ${this.place.id} ends with ${code}` })
  }

  async die(): Promise<NodeJS.Signals | null> {
    if (this.child.exitCode === null && this.child.signalCode === null) {
      this.child.kill('SIGKILL')
      await once(this.child, 'exit')
    }
    return this.child.signalCode
  }

  #hear({ pid, heard, accepted, connected, ended }: Told): void {
    if (pid !== undefined) this.pid = pid
    if (heard !== undefined) this.text += heard
    if (accepted !== undefined) this.accepted.push(accepted)
    if (connected !== undefined) this.connected.push(connected)
    if (ended !== undefined) this.ended.push(ended)
  }
}
