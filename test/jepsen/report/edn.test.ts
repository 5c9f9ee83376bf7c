import { describe, expect, it } from 'vitest'
import type { Event, Json } from '../../../jepsen-lite/history.ts'
import { ednOf, eventToEdn } from '../../../jepsen-lite/report/edn.ts'
import { fc } from '../../support/property.ts'
import { type Edn, readEdn } from './edn-reader.ts'
import { NASTY } from './synthetic.ts'

/** What a reader makes of a value, in the words of the history again. */
function fromEdn(value: Edn): Json {
  if (Array.isArray(value)) return value.map(fromEdn)
  if (value instanceof Map) {
    return Object.fromEntries(
      [...value].map(([key, each]) => [key.startsWith(':') ? key.slice(1) : key.slice(1, -1), fromEdn(each)]),
    )
  }
  if (typeof value === 'bigint') return Number(value)
  if (typeof value === 'object' && value !== null) throw new Error('a keyword for a value')
  return value as Json
}

/** JSON knows no minus zero, and neither does a history. */
const json = fc.jsonValue().map((value) => JSON.parse(JSON.stringify(value)) as Json)

describe('An event as EDN', () => {
  const event: Event = {
    index: 4,
    time: 1_500_000,
    process: 3,
    type: 'invoke',
    f: 'publish',
    value: { id: 7, queue: 'a' },
  }

  it("is one of Jepsen's operation maps, names as keywords", () => {
    expect(eventToEdn(event)).toBe(
      '{:index 4, :process 3, :type :invoke, :f :publish, :value {:id 7, :queue "a"}, :time 1500000}',
    )
  })

  it('of the nemesis has the process :nemesis, and one of a consumer its name as a string', () => {
    const processOf = (process: string) =>
      (readEdn(eventToEdn({ ...event, process })) as ReadonlyMap<string, Edn>).get(':process')
    expect(processOf('nemesis')).toEqual({ keyword: 'nemesis' })
    expect(processOf('6 queue.jobs#1')).toBe('6 queue.jobs#1')
  })

  it('carries when it was told, if it came unasked', () => {
    expect(readEdn(eventToEdn({ ...event, at: 1_400_000 })) as ReadonlyMap<string, Edn>).toContainEqual([
      ':at',
      1_400_000,
    ])
  })

  it('carries its error', () => {
    const map = readEdn(eventToEdn({ ...event, type: 'info', error: `Timeout: ${NASTY}` })) as ReadonlyMap<string, Edn>
    expect(map.get(':error')).toBe(`Timeout: ${NASTY}`)
    expect(map.get(':type')).toEqual({ keyword: 'info' })
  })

  it('with an operation whose name is no keyword has it as a string', () => {
    const fOf = (f: string) => (readEdn(eventToEdn({ ...event, f })) as ReadonlyMap<string, Edn>).get(':f')
    expect(fOf('request-reply')).toEqual({ keyword: 'request-reply' })
    for (const f of ['two words', '7up', 'a/b', 'a:b', '']) expect(fOf(f)).toBe(f)
  })
})

describe('A value as EDN', () => {
  /** As a file brings it to its reader. */
  const throughUtf8 = (text: string) => Buffer.from(text, 'utf8').toString('utf8')

  it.each([NASTY, '', '"', '\\', '\\u0041', ':keyword', 'nil', '\ud83e', '\u2028'])(
    'reads back as the string it was: %j',
    (text) => {
      expect(readEdn(throughUtf8(ednOf(text)))).toBe(text)
      expect(ednOf(text)).not.toMatch(/[\n\r]/)
    },
  )

  it.each([0, -1, 1.5, 2 ** 53, 2 ** 63, 2 ** 70, -(2 ** 64), 1e21, 1e-7, 1e300])(
    'reads back as the number it was: %d',
    (number) => {
      expect(fromEdn(readEdn(ednOf(number)))).toBe(number)
    },
  )

  it('reads back as what it was, whatever it is', () => {
    fc.assert(
      fc.property(json, (value) => {
        expect(fromEdn(readEdn(ednOf(value)))).toEqual(value)
      }),
    )
  })

  it('is UTF-8 without loss', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 40 }), (text) => {
        expect(readEdn(throughUtf8(ednOf(text)))).toBe(text)
      }),
    )
  })
})
