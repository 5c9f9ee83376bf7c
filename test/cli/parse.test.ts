import { InvalidArgumentError } from 'commander'
import { describe, expect, it } from 'vitest'
import { collectHeader, collectList, collectMembers, parseInteger } from '../../node/cli/parse.ts'

describe('parseInteger', () => {
  it('takes whole numbers within its bounds', () => {
    expect(parseInteger(1, 10)('10')).toBe(10)
    expect(parseInteger(0)('0')).toBe(0)
  })

  it.each(['0', '11', '-1', '1.5', '1e1', 'ten', '', ' 5', '0x5'])('refuses %j from 1 to 10', (text) => {
    expect(() => parseInteger(1, 10)(text)).toThrow(InvalidArgumentError)
  })
})

describe('collectList', () => {
  it('splits at commas and appends to what was given before', () => {
    expect(collectList('b, c', collectList('a'))).toEqual(['a', 'b', 'c'])
  })

  it.each(['', 'a,', ',a'])('refuses the empty entry in %j', (text) => {
    expect(() => collectList(text)).toThrow(InvalidArgumentError)
  })
})

describe('collectHeader', () => {
  it('splits at the first equals sign and lets the last one win', () => {
    expect(collectHeader('a=3', collectHeader('b=x=y', { a: '1' }))).toEqual({ a: '3', b: 'x=y' })
  })

  it.each(['a', '=b', ''])('refuses %j', (text) => {
    expect(() => collectHeader(text)).toThrow(InvalidArgumentError)
  })
})

describe('collectMembers', () => {
  it('reads a list and adds to what was given before', () => {
    const first = collectMembers('n1=ws://127.0.0.1:1,n2=ws://127.0.0.1:2')
    expect(collectMembers('n3=ws://h:3', first)).toEqual({
      n1: 'ws://127.0.0.1:1',
      n2: 'ws://127.0.0.1:2',
      n3: 'ws://h:3',
    })
  })

  it.each(['n1', '=ws://h:1', 'n1=ws://h:1,', 'n1=ws://h:1,n1=ws://h:2'])('refuses %j', (text) => {
    expect(() => collectMembers(text)).toThrow(InvalidArgumentError)
  })
})
