/**
 * Turns the deliveries that the machine assigned to one client into frames, in order. It holds references, never bodies, so
 * a slow reader costs numbers: nothing is read or sent while the client's socket is above its bound.
 *
 * Deliveries of one session keep their order even when some bodies must be read from the log and others are in memory.
 */
import { encodeDeliverFrame, type OutgoingDelivery } from '../../wire/deliver-frame.ts'
import { limits } from '../../wire/limits.ts'
import { type Bodies, MessageReader } from '../bodies.ts'
import type { Effect } from '../queue/index.ts'
import type { FrameSocket } from '../socket.ts'

type Deliver = Extract<Effect, { type: 'deliver' }>

export class DeliveryPump {
  readonly #group: number
  readonly #socket: FrameSocket
  readonly #bodies: Bodies
  readonly #bufferBytesMax: number
  readonly #reader = new MessageReader()
  readonly #queue: Deliver[] = []
  /** Rows of the first effect that are sent already. */
  #sent = 0
  #waiting = false

  constructor(group: number, socket: FrameSocket, bodies: Bodies, bufferBytesMax: number) {
    this.#group = group
    this.#socket = socket
    this.#bodies = bodies
    this.#bufferBytesMax = bufferBytesMax
    socket.onDrain(() => this.#pump())
  }

  push(effect: Deliver): void {
    this.#queue.push(effect)
    this.#pump()
  }

  /** The consumer is gone: what waits for it would be dropped by the client anyway. */
  cancel(consumer: number): void {
    for (let i = this.#queue.length - 1; i >= 0; i--) {
      if (this.#queue[i]!.consumer !== consumer) continue
      this.#queue.splice(i, 1)
      if (i === 0) this.#sent = 0
    }
  }

  /** Forgets what was not sent: it will be pushed again. */
  clear(): void {
    this.#queue.length = 0
    this.#sent = 0
  }

  #pump(): void {
    while (!this.#waiting && this.#socket.open && this.#socket.bufferedBytes <= this.#bufferBytesMax) {
      const effect = this.#queue[0]
      if (effect === undefined) return
      if (this.#sent < effect.indexes.length) this.#sendSome(effect)
      if (this.#sent === effect.indexes.length) {
        this.#queue.shift()
        this.#sent = 0
      }
    }
  }

  /** Sends as many rows as are at hand and fit one frame; asks for the first entry that is not at hand. */
  #sendSome(effect: Deliver): void {
    const first = this.#sent
    const deliveries: OutgoingDelivery[] = []
    let bytes = 0
    let row = first
    while (row < effect.indexes.length && bytes < limits.frameBytesTarget) {
      const index = effect.indexes[row]!
      const entry = this.#bodies.get(index)
      if (entry === undefined) {
        if (row === first) this.#await(effect, index)
        break
      }
      const delivery = this.#reader.read(entry, effect.positions[row]!, effect.attempts[row]!)
      deliveries.push(delivery)
      bytes += delivery.message.length
      row++
    }
    if (row === first) return
    this.#sent = row
    this.#socket.send(encodeDeliverFrame(this.#group, effect.consumer, effect.firstDelivery + first, deliveries))
  }

  #await(effect: Deliver, index: number): void {
    this.#waiting = true
    this.#bodies.fetch(index, (isHeld) => {
      this.#waiting = false
      // Settled or expired long ago, while this client did not read: the delivery is open no more, and its number is left out.
      if (!isHeld && effect === this.#queue[0]) this.#sent++
      this.#pump()
    })
  }
}
