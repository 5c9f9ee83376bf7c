import { describe, expect, it } from 'vitest'
import { limits } from '../../wire/limits.ts'
import { codeOf, resultOf, typesOf, World } from './world.ts'

describe('sequences', () => {
  it('confirm a frame up to its last message', () => {
    const client = new World().open()
    expect(client.publish('a', 'b', 'c')).toMatchObject([{ type: 'confirm', upTo: 3, to: { epoch: client.epoch } }])
    expect(client.publish('a')).toMatchObject([{ type: 'confirm', upTo: 4 }])
  })

  it('are shared by publishes and control commands', () => {
    const client = new World().open()
    client.publish('a', 'b')
    expect(client.control({ type: 'listen', pattern: 'x' })).toMatchObject([{ outcome: { sequence: 3 } }])
    expect(client.publish('a')).toMatchObject([{ upTo: 4 }])
  })

  it('store a repeated message once and confirm it again', () => {
    const world = new World()
    const client = world.open()
    client.queue('q', 'a')
    const frame = client.publishFrame('a', 'a')
    world.apply(frame)
    expect(world.apply(frame)).toMatchObject([{ type: 'confirm', upTo: 4 }])
    expect(world.machine.queueStats('q')).toMatchObject({ ready: 2 })
  })

  it('apply the messages behind the repeated ones of a frame', () => {
    const world = new World()
    const client = world.open()
    client.queue('q', '#')
    client.publish('a', 'a')
    expect(world.apply(client.publishAt(4, 'a', 'b', 'c'))).toMatchObject([{ type: 'confirm', upTo: 6 }])
    expect(world.machine.queueStats('q')).toMatchObject({ ready: 4 })
  })

  it('refuse a frame behind a gap without effect, and say where to go on', () => {
    const world = new World()
    const client = world.open()
    client.queue('q', '#')
    expect(world.apply(client.publishAt(5, 'a'))).toMatchObject([{ type: 'gap', expected: 3 }])
    expect(world.apply(client.controlFrame({ type: 'deleteQueue', queue: 'q' }, 5))).toMatchObject([
      { type: 'gap', expected: 3 },
    ])
    expect(world.machine.queueStats('q')).toMatchObject({ ready: 0 })
    expect(world.machine.session(client.session)).toMatchObject({ lastSequence: 2 })
  })

  it('judge each message of a frame by itself', () => {
    const world = new World()
    const client = world.open()
    client.queue('q', '#')
    const effects = client.publish('a', 'not a topic', 'b', '*')
    expect(effects).toMatchObject([
      { type: 'outcome', outcome: { sequence: 4, code: 'Validation' } },
      { type: 'outcome', outcome: { sequence: 6, code: 'Validation' } },
      { type: 'confirm', upTo: 6 },
    ])
    expect(world.machine.queueStats('q')).toMatchObject({ ready: 2 })
  })

  it('tell the old outcome of a repeat: rejection, result or success', () => {
    const world = new World()
    const client = world.open()
    const frames = [
      client.publishFrame('a', 'not a topic'),
      client.controlFrame({ type: 'listen', pattern: 'x' }),
      client.controlFrame({ type: 'declareQueue', queue: 'q' }),
      client.controlFrame({ type: 'deleteQueue', queue: 'none' }),
    ]
    const first = frames.map((frame) => world.apply(frame))
    const again = frames.map((frame) => world.apply(frame))
    expect(again.slice(1)).toEqual(first.slice(1))
    expect(again[0]).toMatchObject([{ outcome: { sequence: 2, code: 'Validation' } }, { type: 'confirm', upTo: 5 }])
    expect(world.machine.queueNames()).toEqual(['q'])
    expect(world.machine.listeners('x')).toHaveLength(1)
  })

  it('keep outcomes that are not plain success until the client has seen them', () => {
    const world = new World()
    const client = world.open()
    const frame = client.controlFrame({ type: 'listen', pattern: 'x' })
    world.apply(frame)
    client.control({ type: 'declareQueue', queue: 'q' })
    client.publish('no topic')
    expect(world.machine.session(client.session)).toMatchObject({ outcomes: 2 })
    client.seen = 2
    client.settleItems()
    expect(world.machine.session(client.session)).toMatchObject({ outcomes: 1 })
    expect(world.apply(frame)).toMatchObject([{ type: 'outcome', outcome: { sequence: 1 } }])
    client.seen = 1_000_000
    client.settleItems()
    expect(world.machine.session(client.session)).toMatchObject({ outcomes: 0, lastSequence: 3 })
    // What the client cannot have seen yet is kept all the same.
    client.publish('no topic')
    expect(world.machine.session(client.session)).toMatchObject({ outcomes: 1, lastSequence: 4 })
    client.seen = 4
    client.settleItems()
    expect(world.machine.session(client.session)).toMatchObject({ outcomes: 0 })
  })

  it('give an attached client all outcomes that it has not seen', () => {
    const world = new World()
    const client = world.open()
    client.publish('ok', 'not ok')
    const listener = resultOf(client.control({ type: 'listen', pattern: 'x' })).listener
    client.control({ type: 'declareQueue', queue: 'q' })
    const [, attached] = client.attach()
    expect(attached).toMatchObject({
      type: 'attached',
      lastSequence: 4,
      outcomes: [
        { sequence: 2, code: 'Validation' },
        { sequence: 3, result: { listener } },
      ],
    })
  })

  it('stop with a gap when the outcomes of a session are full, and go on when it has seen them', () => {
    const world = new World()
    const client = world.open()
    const max = limits.outcomesPerSessionMax
    client.publish(...new Array<string>(max).fill('not ok'))
    const frame = client.publishFrame('ok', 'not ok', 'ok')
    expect(world.apply(frame)).toMatchObject([
      { type: 'confirm', upTo: max + 1 },
      { type: 'gap', expected: max + 2 },
    ])
    const command = client.controlFrame({ type: 'listen', pattern: 'x' }, max + 2)
    expect(world.apply(command)).toMatchObject([{ type: 'gap', expected: max + 2 }])
    client.seen = 1
    client.settleItems()
    expect(world.apply(frame)).toMatchObject([
      { type: 'outcome', outcome: { sequence: max + 2, code: 'Validation' } },
      { type: 'confirm', upTo: max + 3 },
    ])
  })

  it('answer a frame of another epoch, of an unknown or of a closed session with staleFrame alone', () => {
    const world = new World()
    const client = world.open()
    client.queue('q', '#')
    const old = client.publishFrame('a')
    const { epoch, session } = client
    client.attach()
    expect(world.apply(old)).toEqual([{ type: 'staleFrame', session, epoch }])
    expect(world.machine.queueStats('q')).toMatchObject({ ready: 0 })
    expect(world.apply({ ...old, session: 12345 } as never)).toMatchObject([{ type: 'staleFrame', session: 12345 }])
    client.sequence = 3
    client.control({ type: 'closeSession' })
    expect(typesOf(client.control({ type: 'declareQueue', queue: 'z' }))).toEqual(['staleFrame'])
    expect(world.machine.queueNames()).toEqual(['q'])
  })

  it('refuse an unknown command under its sequence', () => {
    const world = new World()
    const client = world.open()
    for (const type of ['explode', 'toString', '__proto__', 7]) {
      expect(codeOf(client.control({ type } as never))).toBe('Validation')
    }
    expect(world.machine.session(client.session)).toMatchObject({ lastSequence: 4 })
  })
})
