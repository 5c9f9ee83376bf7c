/**
 * Turns the deliveries that the machine assigned to one client into frames. It holds references, never bodies, so a slow reader
 * costs numbers: nothing is read or sent while the client's socket is above its bound.
 *
 * Deliveries of one consumer keep their order even when some bodies must be read from the log and others are in memory. Consumers
 * do not wait for each other: one whose backlog comes from the disk does not hold up another whose messages are at hand, and those that
 * have something take turns, a frame each.
 *
 * Bounded by the machine: a consumer's open deliveries are at most its prefetch.
 */
import { encodeDeliverFrame, type OutgoingDelivery } from '../../wire/deliver-frame.ts'
import { limits } from '../../wire/limits.ts'
import { type Bodies, MessageReader } from '../bodies.ts'
import type { Effect } from '../queue/index.ts'
import type { FrameSocket } from '../socket.ts'

type Deliver = Extract<Effect, { type: 'deliver' }>

/** What one consumer has yet to be sent; there is one while there is something. */
interface Lane {
  readonly effects: Deliver[]
  /** Rows of the first effect that are sent already. */
  sent: number
}

export class DeliveryPump {
  readonly #group: number
  readonly #socket: FrameSocket
  readonly #bodies: Bodies
  readonly #bufferBytesMax: number
  readonly #reader = new MessageReader()
  readonly #lanes = new Map<number, Lane>()
  /** Lanes whose next message is not known to be missing, in the order of their turns. */
  #ready: Lane[] = []

  constructor(group: number, socket: FrameSocket, bodies: Bodies, bufferBytesMax: number) {
    this.#group = group
    this.#socket = socket
    this.#bodies = bodies
    this.#bufferBytesMax = bufferBytesMax
    socket.onDrain(() => this.#pump())
  }

  push(effect: Deliver): void {
    const known = this.#lanes.get(effect.consumer)
    if (known !== undefined) {
      known.effects.push(effect)
      return
    }
    const lane = { effects: [effect], sent: 0 }
    this.#lanes.set(effect.consumer, lane)
    this.#ready.push(lane)
    this.#pump()
  }

  /** The consumer is gone: what waits for it would be dropped by the client anyway. */
  cancel(consumer: number): void {
    const lane = this.#lanes.get(consumer)
    if (lane === undefined) return
    this.#lanes.delete(consumer)
    this.#ready = this.#ready.filter((each) => each !== lane)
  }

  /** Forgets what was not sent: it will be pushed again. */
  clear(): void {
    this.#lanes.clear()
    this.#ready = []
  }

  #pump(): void {
    while (this.#socket.open && this.#socket.bufferedBytes <= this.#bufferBytesMax) {
      const lane = this.#ready.shift()
      if (lane === undefined) return
      const { consumer } = lane.effects[0]!
      if (!this.#sendSome(lane, lane.effects[0]!)) continue
      if (lane.effects.length > 0) this.#ready.push(lane)
      else this.#lanes.delete(consumer)
    }
  }

  /** Sends as many rows as are at hand and fit one frame. False: the first is not at hand, and is asked for. */
  #sendSome(lane: Lane, effect: Deliver): boolean {
    const first = lane.sent
    const deliveries: OutgoingDelivery[] = []
    let bytes = 0
    let row = first
    while (row < effect.indexes.length && bytes < limits.frameBytesTarget) {
      const entry = this.#bodies.get(effect.indexes[row]!)
      if (entry === undefined) break
      const delivery = this.#reader.read(entry, effect.positions[row]!, effect.attempts[row]!)
      deliveries.push(delivery)
      bytes += delivery.message.length
      row++
    }
    if (row > first) {
      this.#socket.send(encodeDeliverFrame(this.#group, effect.consumer, effect.firstDelivery + first, deliveries))
    } else if (row < effect.indexes.length) {
      this.#await(lane, effect, effect.indexes[row]!)
      return false
    }
    this.#passed(lane, row)
    return true
  }

  #await(lane: Lane, effect: Deliver, index: number): void {
    this.#bodies.fetch(index, (isHeld) => {
      if (this.#lanes.get(effect.consumer) !== lane) return
      // Settled or expired long ago, while this client did not read: the delivery is open no more, and its number is left out.
      if (!isHeld) this.#passed(lane, lane.sent + 1)
      if (lane.effects.length > 0) this.#ready.push(lane)
      else this.#lanes.delete(effect.consumer)
      this.#pump()
    })
  }

  #passed(lane: Lane, row: number): void {
    lane.sent = row
    if (row < lane.effects[0]!.indexes.length) return
    lane.effects.shift()
    lane.sent = 0
  }
}
