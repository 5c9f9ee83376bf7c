/** `meshmq start` as an operator runs it: one node, its options from every place that they may come from. */
import { rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { get, isReady } from '../support/admin.ts'
import { eventually } from '../support/eventually.ts'
import { freePorts, realDiskFolder } from '../support/place.ts'
import { CliProcess, runCli } from './run-cli.ts'

let directory: string
let port: number
let url: string
const running: CliProcess[] = []

beforeEach(async () => {
  directory = realDiskFolder()
  port = (await freePorts(1))[0]!
  url = `ws://127.0.0.1:${port}`
})

afterEach(async () => {
  for (const process of running) process.child.kill('SIGKILL')
  await Promise.all(running.splice(0).map((process) => process.ended()))
  rmSync(directory, { recursive: true, force: true })
})

function nodeArgs(...more: string[]): string[] {
  const place = ['--listen', `127.0.0.1:${port}`, '--data', path.join(directory, 'n1')]
  return ['start', '--id', 'n1', ...place, '--cluster', `n1=${url}`, ...more]
}

async function startReady(args: readonly string[], environment: Record<string, string> = {}): Promise<CliProcess> {
  const node = new CliProcess(args, environment)
  running.push(node)
  await eventually(() => isReady(url), { withinMs: 30_000, what: `the node is ready: ${node.stderr}` })
  return node
}

it.each(['SIGTERM', 'SIGINT'] as const)(
  '%s stops a node gracefully: exit code 0, nothing on standard error',
  async (signal) => {
    const node = await startReady(nodeArgs())
    node.child.kill(signal)
    const { code, stderr } = await node.ended()
    expect([code, stderr]).toEqual([0, ''])
  },
)

it('takes options from a file, secrets from the environment, and lets the command line win', async () => {
  const config = path.join(directory, 'n1.json')
  const inFile = {
    id: 'n1',
    listen: '127.0.0.1:1',
    dataDir: path.join(directory, 'n1'),
    cluster: { n1: url },
    logger: 'info',
  }
  writeFileSync(config, JSON.stringify({ ...inFile, clusterName: 'from-file' }))
  const environment = { MESHMQ_TOKENS: 't1,t2', MESHMQ_SECRET: 's3cret' }
  const node = await startReady(['start', '--config', config, '--listen', `127.0.0.1:${port}`, '--json'], environment)

  expect((await get(url, '/status')).status).toBe(401)
  const status = await (await get(url, '/status', { authorization: 'Bearer t2' })).json()
  expect(status).toMatchObject({ node: 'n1', clusterName: 'from-file', role: 'leader' })
  const lines = node.stdout.trim().split('\n')
  expect(lines.map((line) => JSON.parse(line))).toContainEqual(expect.objectContaining({ level: 30 }))
})

it('lets clients in by token alone once it has tokens', async () => {
  await startReady(nodeArgs('--token', 't1'))
  const refused = await runCli(['pub', 'a.b', 'x', '--server', url])
  expect(refused.code).toBe(1)
  expect(refused.stderr).toMatch(/^meshmq: Unauthorized: [^\n]+\n$/)
  expect((await runCli(['pub', 'a.b', 'x', '--server', url, '--token', 't1'])).code).toBe(0)
  expect((await runCli(['pub', 'a.b', 'x'], { environment: { MESHMQ_SERVERS: url, MESHMQ_TOKEN: 't1' } })).code).toBe(0)
  const status = await runCli(['cluster', 'status', '--server', url, '--token', 't1'])
  expect(status.stdout).toMatch(/^n1 +leader /m)
})

describe('a node that cannot start says why on one line, with exit code 1, or 2 if it was told something wrong', () => {
  it.each([
    ['no id', 2, (args: string[]) => ['start', ...args.slice(3)], /Validation: start needs --id, or a --config/],
    [
      'a door open to strangers',
      2,
      (args: string[]) => [...args, '--listen', '0.0.0.0:0'],
      /Validation: secret: must be given/,
    ],
    ['a secret file that is not there', 1, (args: string[]) => [...args, '--secret-file', '/nowhere'], /ENOENT: /],
  ])('%s', async (_, exitCode, change, message) => {
    const { code, stdout, stderr } = await runCli(change(nodeArgs()))
    expect([code, stdout]).toEqual([exitCode, ''])
    expect(stderr).toMatch(/^meshmq: [^\n]+\n$/)
    expect(stderr).toMatch(message)
  })

  it('a port in use', async () => {
    await startReady(nodeArgs())
    const { code, stderr } = await runCli(nodeArgs('--data', path.join(directory, 'other')))
    expect(code).toBe(1)
    const address = `127.0.0.1:${port}`
    expect(stderr).toMatch(
      new RegExp(`^meshmq: Precondition: ${address} is in use: because [^\\n]*EADDRINUSE[^\\n]*\n$`),
    )
  })

  it('a directory in use', async () => {
    await startReady(nodeArgs())
    const [other] = await freePorts(1)
    const { code, stderr } = await runCli(nodeArgs('--listen', `127.0.0.1:${other}`))
    expect(code).toBe(1)
    expect(stderr).toMatch(/^meshmq: [^\n]+\n$/)
    expect(stderr).toContain(path.join(directory, 'n1'))
  })
})
