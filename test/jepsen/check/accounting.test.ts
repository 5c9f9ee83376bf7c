import { describe, expect, it } from 'vitest'
import { checkAccounting } from '../../../jepsen-lite/check/accounting.ts'
import type { Event, Json } from '../../../jepsen-lite/history.ts'
import { fc } from '../../support/property.ts'

/** Writes histories of one slot's process, of consumers and of the drain. */
class Tale {
  readonly events: Event[] = []

  publish(id: number, type: 'ok' | 'fail' | 'info' = 'ok', message = `m${id}`): this {
    this.#add(0, 'invoke', 'publish', { id })
    return this.#add(0, type, 'publish', type === 'ok' ? { id, message } : { id })
  }

  receive(max: number, ...messages: string[]): this {
    this.#add(1, 'invoke', 'receive', { max, waitMs: 0 })
    return this.#add(1, 'ok', 'receive', { messages })
  }

  deliver(id: number, attempt = 1, message = `m${id}`, consumer = 'c'): this {
    return this.#add(consumer, 'ok', 'deliver', { queue: 'q', message, attempt, id, topic: 't' })
  }

  acked(id: number, attempt = 1, message = `m${id}`, consumer = 'c'): this {
    const which = { queue: 'q', message, attempt }
    this.#add(consumer, 'ok', 'settle', { ...which, as: 'ack' })
    return this.#add(consumer, 'ok', 'settled', which)
  }

  drained(): this {
    this.#add(0, 'invoke', 'drain', null)
    return this.#add(0, 'ok', 'drain', null)
  }

  #add(process: number | string, type: Event['type'], f: string, value: Json): this {
    const index = this.events.length
    this.events.push({ index, time: index * 1000, process, type, f, value })
    return this
  }
}

const check = (tale: Tale) => checkAccounting(tale.events, { concurrency: 1 })
const typesOf = (tale: Tale) => check(tale).anomalies.map(({ type }) => type)

describe('the accounting of a queue', () => {
  it('finds nothing wrong with acknowledged messages that come out, once or in several attempts', () => {
    const tale = new Tale().publish(1).publish(2, 'info').publish(3, 'fail').publish(4, 'info')
    tale.deliver(1).deliver(1, 2, 'm1', 'd').acked(1, 2, 'm1', 'd').deliver(2).acked(2).drained()
    const { valid, anomalies, counts } = check(tale)
    expect({ valid, anomalies }).toEqual({ valid: true, anomalies: [] })
    expect(counts).toMatchObject({ publishOk: 1, publishInfo: 2, publishFail: 1, delivered: 2, deliveries: 3 })
    expect(counts).toMatchObject({ redeliveries: 1, recovered: 1, lost: 0, duplicated: 0 })
  })

  it('calls lost what was acknowledged and never delivered, and shows where', () => {
    const { valid, anomalies } = check(new Tale().publish(1).publish(2).deliver(1).acked(1).drained())
    expect(valid).toBe(false)
    expect(anomalies).toEqual([{ type: 'lost', message: '2 was acknowledged and never delivered', events: [2, 3] }])
  })

  it('cannot call anything lost before the queue was seen empty', () => {
    const { valid, reason } = check(new Tale().publish(1))
    expect(valid).toBe('unknown')
    expect(reason).toContain('not drained')
  })

  it.each([
    ['nobody published it', new Tale().deliver(9).acked(9).drained()],
    ['its publisher was told that it did not happen', new Tale().publish(1, 'fail').deliver(1).acked(1).drained()],
  ])('calls unexpected what was delivered though %s', (_, tale) => {
    expect(typesOf(tale)).toEqual(['unexpected'])
  })

  it('calls duplicated what is stored as two messages, also of a publish that nobody knows the outcome of', () => {
    const tale = new Tale().publish(1, 'info').deliver(1, 1, 'a').acked(1, 1, 'a').deliver(1, 1, 'b').acked(1, 1, 'b')
    expect(typesOf(tale.drained())).toEqual(['duplicated'])
  })

  it('calls misnamed what was acknowledged as another message than the one that came', () => {
    const tale = new Tale().publish(1, 'ok', 'a').deliver(1, 1, 'b').acked(1, 1, 'b')
    expect(typesOf(tale.drained())).toEqual(['misnamed'])
  })

  it('calls repeated an attempt that was made twice, and resurrected what comes after its ack', () => {
    const taken = () => new Tale().publish(1).deliver(1).acked(1)
    expect(typesOf(taken().deliver(1, 1, 'm1', 'd').drained())).toEqual(['repeated'])
    expect(typesOf(taken().deliver(1, 2).acked(1, 2).drained())).toEqual(['resurrected'])
  })

  it('calls dropped what is gone though the last attempt at it was neither acked nor rejected', () => {
    const told = () => new Tale().publish(1).deliver(1)
    expect(check(told().drained()).anomalies).toMatchObject([{ type: 'dropped', events: [2] }])
    expect(typesOf(told().deliver(1, 2, 'm1', 'd').acked(1, 2, 'm1', 'd').drained())).toEqual([])
  })

  it('calls prefetch what a receive got beyond what it asked for', () => {
    expect(typesOf(new Tale().receive(2, 'm1', 'm2').receive(1).drained())).toEqual([])
    expect(check(new Tale().receive(2, 'm1', 'm2', 'm3').drained()).anomalies).toMatchObject([
      { type: 'prefetch', events: [0, 1] },
    ])
  })

  it('calls corrupt what came out with another body', () => {
    const tale = new Tale().publish(1).deliver(1).acked(1).drained()
    expect(typesOf(tale)).toEqual([])
    const { index, value } = tale.events[2]!
    tale.events[2] = { ...tale.events[2]!, value: { ...(value as { readonly [key: string]: Json }), corrupt: true } }
    expect(check(tale).anomalies).toMatchObject([{ type: 'corrupt', events: [index] }])
  })

  it('finds exactly what a random fault did to a random good history', () => {
    const story = fc.array(fc.constantFrom('ok', 'info', 'fail'), { minLength: 1, maxLength: 30 })
    const fault = fc.constantFrom('none', 'lost', 'unexpected', 'duplicated')
    fc.assert(
      fc.property(story, fault, fc.nat(), (types, kind, pick) => {
        const tale = new Tale()
        types.forEach((type, id) => {
          tale.publish(id, type as 'ok')
        })
        const present = types.flatMap((type, id) => (type === 'ok' || (type === 'info' && id % 2 === 0) ? [id] : []))
        const victims = kind === 'lost' ? present.filter((id) => types[id] === 'ok') : present
        const victim = victims[pick % Math.max(1, victims.length)]
        for (const id of present) if (kind !== 'lost' || id !== victim) tale.deliver(id).acked(id)
        const refused = types.indexOf('fail')
        if (kind === 'unexpected' && refused >= 0) tale.deliver(refused).acked(refused)
        if (kind === 'duplicated' && victim !== undefined) {
          tale.deliver(victim, 1, 'another').acked(victim, 1, 'another')
        }
        tale.drained()
        const isDone = kind === 'unexpected' ? refused >= 0 : kind !== 'none' && victim !== undefined
        // A copy of an acknowledged message also has another name than the one that was acknowledged.
        expect(typesOf(tale).filter((type) => type !== 'misnamed')).toEqual(isDone ? [kind] : [])
      }),
    )
  })
})
