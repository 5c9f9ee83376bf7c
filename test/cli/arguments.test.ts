import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { runCli } from './run-cli.ts'

let directory: string
beforeEach(() => {
  directory = mkdtempSync(path.join(tmpdir(), 'meshmq-cli-'))
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

describe('help', () => {
  it('lists every command', async () => {
    const { code, stdout } = await runCli(['--help'])
    expect(code).toBe(0)
    for (const command of ['dev', 'start', 'pub', 'sub', 'request', 'reply', 'queue', 'cluster', 'repair']) {
      expect(stdout).toMatch(new RegExp(`^ {2}${command}\\b`, 'm'))
    }
  })

  it.each([['dev'], ['start'], ['pub'], ['sub'], ['request'], ['reply'], ['queue'], ['cluster'], ['repair']])(
    'of %s has examples',
    async (command) => {
      const { code, stdout, stderr } = await runCli([command, '--help'])
      expect([code, stderr]).toEqual([0, ''])
      expect(stdout).toMatch(new RegExp(`Examples:\n {2}\\$ .*meshmq ${command}`))
    },
  )

  it.each([
    ...['ls', 'info', 'declare', 'bind', 'unbind', 'receive', 'delete'].map((name) => ['queue', name]),
    ...['status', 'add', 'promote', 'remove', 'transfer-leader'].map((name) => ['cluster', name]),
  ])('of %s %s has an example', async (group, name) => {
    const { code, stdout, stderr } = await runCli([group!, name!, '--help'])
    expect([code, stderr]).toEqual([0, ''])
    expect(stdout).toMatch(new RegExp(`Example:\n {2}\\$ meshmq ${group} ${name}\\b`))
  })

  it('is shown on standard error when the command is missing', async () => {
    const { code, stdout, stderr } = await runCli([])
    expect([code, stdout]).toEqual([2, ''])
    expect(stderr).toMatch(/^Usage: meshmq/)
  })
})

it('--version tells the version of the package', async () => {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))
  expect(await runCli(['--version'])).toEqual({ code: 0, stdout: `${version}\n`, stderr: '' })
})

describe('wrong arguments are told on one line with exit code 2', () => {
  it.each<[string, string[], RegExp]>([
    ['an unknown command', ['publish'], /unknown command 'publish'/],
    ['an unknown option', ['pub', 'a', 'b', '--cuont', '3'], /unknown option '--cuont'/],
    ['a missing argument', ['pub'], /missing required argument 'topic'/],
    ['an argument too many', ['pub', 'a', 'b', 'c'], /too many arguments/],
    ['a count of none', ['pub', 'a', 'b', '--count', '0'], /--count <n>' argument '0' is invalid.*at least 1/],
    ['a prefetch beyond the limit', ['sub', 'a', '--prefetch', '10001'], /from 1 to 10000/],
    ['a header without a value', ['pub', 'a', 'b', '-H', 'tenant'], /must be key=value/],
    ['too many nodes', ['dev', '--nodes', '10'], /from 1 to 9/],
    ['a server that is no URL', ['queue', 'ls', '--server', 'localhost:7101'], /'localhost:7101' is not a ws:\/\/ or/],
    ['one of a change, too', ['cluster', 'remove', 'n1', '-s', 'localhost:7101'], /'localhost:7101' is not a ws:/],
    ['a cluster without URLs', ['start', '--cluster', 'n1,n2'], /must be a list such as/],
    [
      'an unknown log level',
      ['start', '--log-level', 'loud'],
      /'loud' is invalid. Allowed choices are debug, info, warn/,
    ],
    ['one for the nodes of dev', ['dev', '--log-level', 'loud'], /'loud' is invalid. Allowed choices are debug, info/],
    ['a body that is no JSON', ['pub', 'a', '{id:1}', '--json-body'], /the body is no JSON/],
    ['standard input that is no JSON', ['pub', 'a', '-', '--json-body'], /the body is no JSON/],
    ['a reply without an answer', ['reply', 'a'], /reply takes either/],
    ['a reply with two answers', ['reply', 'a', 'b', '--echo'], /reply takes either/],
    ['a start of no node', ['start', '--id', 'n1'], /start needs --listen, --data, --cluster, or a --config/],
  ])('%s', async (_, args, message) => {
    const { code, stdout, stderr } = await runCli(args, { input: 'nope' })
    expect([code, stdout]).toEqual([2, ''])
    expect(stderr).toMatch(/^meshmq: Validation: [^\n]+\n$/)
    expect(stderr).toMatch(message)
  })
})

describe('what fails is told on one line with exit code 1', () => {
  it.each<[string, string[], string, RegExp]>([
    ['too much standard input', ['pub', 'a', '-'], 'x'.repeat(1_048_577), /PayloadTooLarge: standard input/],
    ['a configuration that is not there', ['start', '--config', '/nowhere.json'], '', /^meshmq: ENOENT: no such file/],
  ])('%s', async (_, args, input, message) => {
    const { code, stdout, stderr } = await runCli(args, { input })
    expect([code, stdout]).toEqual([1, ''])
    expect(stderr).toMatch(/^meshmq: [^\n]+\n$/)
    expect(stderr).toMatch(message)
  })

  it.each([
    ['that is no JSON', '{', /config\.json is no JSON/],
    ['that is no object', '[]', /config\.json must hold a JSON object/],
  ])('a configuration %s', async (_, content, message) => {
    const file = path.join(directory, 'config.json')
    writeFileSync(file, content)
    const { code, stderr } = await runCli(['start', '--config', file])
    expect(code).toBe(2)
    expect(stderr).toMatch(message)
  })

  it('dev on a port in use', async () => {
    const blocker = createServer().listen(0, '127.0.0.1')
    await new Promise((resolve) => blocker.once('listening', resolve))
    const { port } = blocker.address() as AddressInfo
    const { code, stdout, stderr } = await runCli(['dev', '--nodes', '1', '--port', String(port), '--data', directory])
    await new Promise((resolve) => blocker.close(resolve))
    expect([code, stdout]).toEqual([1, ''])
    expect(stderr).toBe(`meshmq: Precondition: port ${port} is in use: choose others with --port\n`)
  })

  it('dev on the data of a cluster of another size', async () => {
    for (const id of ['n1', 'n2', 'n3']) mkdirSync(path.join(directory, id))
    const { code, stderr } = await runCli(['dev', '--nodes', '5', '--data', directory])
    expect(code).toBe(1)
    expect(stderr).toMatch(/^meshmq: Precondition: .* holds a cluster of 3 nodes: use --nodes 3 or another --data\n$/)
  })
})
