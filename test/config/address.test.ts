import { describe, expect, it } from 'vitest'
import { formatHostPort, isLoopbackHost, parseHostPort } from '../../node/address.ts'

describe('parseHostPort', () => {
  it.each([
    ['127.0.0.1:7101', { host: '127.0.0.1', port: 7101 }],
    ['localhost:0', { host: 'localhost', port: 0 }],
    ['broker-1.example.com:65535', { host: 'broker-1.example.com', port: 65_535 }],
    ['[::1]:7101', { host: '::1', port: 7101 }],
    ['[fe80::1]:80', { host: 'fe80::1', port: 80 }],
    ['[::]:7101', { host: '::', port: 7101 }],
  ])('reads %s', (text, expected) => {
    expect(parseHostPort(text)).toEqual(expected)
    expect(formatHostPort(expected)).toBe(text)
  })

  it.each([
    '',
    '7101',
    ':7101',
    'localhost',
    'localhost:',
    'localhost:seven',
    'localhost:65536',
    'localhost:-1',
    '::1:7101',
    '[::1]',
    '[127.0.0.1]:7101',
    '[nonsense]:7101',
    'a b:7101',
    'ws://localhost:7101',
  ])('refuses %j', (text) => {
    expect(parseHostPort(text)).toBeUndefined()
  })
})

describe('isLoopbackHost', () => {
  it.each(['127.0.0.1', '127.9.9.9', 'localhost', 'LocalHost', '::1', '[::1]', '::ffff:127.0.0.1', '[::ffff:7f00:1]'])(
    'knows %s as loopback',
    (host) => expect(isLoopbackHost(host)).toBe(true),
  )

  it.each(['0.0.0.0', '::', '[::]', '128.0.0.1', '10.0.0.1', '::2', '::ffff:10.0.0.1', 'n1', 'localhost.example.com'])(
    'takes %s for reachable from elsewhere',
    (host) => expect(isLoopbackHost(host)).toBe(false),
  )
})
