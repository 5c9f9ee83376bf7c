/** `meshmq repair` as an operator meets it: a lone node whose log rotted refuses to start, and says what to run. */
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { type MeshNode, startNode } from '../../node/index.ts'
import { eventually } from '../support/eventually.ts'
import { freePorts, realDiskFolder } from '../support/place.ts'
import { runCli } from './run-cli.ts'

let directory: string
let dataDir: string
let port: number
let node: MeshNode | undefined

beforeEach(async () => {
  directory = realDiskFolder()
  dataDir = path.join(directory, 'n1')
  port = (await freePorts(1))[0]!
})

afterEach(async () => {
  await node?.stop()
  node = undefined
  rmSync(directory, { recursive: true, force: true })
})

async function start(): Promise<MeshNode> {
  const listen = `127.0.0.1:${port}`
  node = await startNode({ id: 'n1', listen, dataDir, cluster: { n1: `ws://${listen}` }, logger: false })
  node.failed.catch(() => {})
  await node.ready()
  return node
}

async function stop(): Promise<void> {
  await node?.stop()
  node = undefined
}

/** Flips a bit of a message that was acknowledged, with more behind it. */
async function publishAndDamage(): Promise<void> {
  const client = await (await start()).connect()
  await client.queue('orders').declare()
  await client.queue('orders').bind('orders')
  for (const text of ['the first', 'the second', 'the third']) await client.publish('orders', text)
  await client.close()
  await stop()
  const file = path.join(dataDir, 'wal', readdirSync(path.join(dataDir, 'wal')).sort()[0]!)
  const bytes = readFileSync(file)
  const at = bytes.indexOf('the second')
  bytes[at] = bytes[at]! ^ 1
  writeFileSync(file, bytes)
}

it('tells what is damaged and what accepting means, and lets the node start once that is accepted', async () => {
  await publishAndDamage()
  await expect(start()).rejects.toMatchObject({ code: 'DamagedLog', message: expect.stringContaining('meshmq repair') })

  const told = await runCli(['repair', '--data', dataDir])
  expect([told.code, told.stderr]).toEqual([0, ''])
  expect(told.stdout).toMatch(/n1, node n1\n.*\.wal, offset \d+: .*\n/)
  expect(told.stdout).toMatch(/the only voter of its cluster.*lost for good.*\n\nTo accept it.*--accept-loss/s)
  await expect(start()).rejects.toMatchObject({ code: 'DamagedLog' })

  const accepted = await runCli(['repair', '--data', dataDir, '--accept-loss', '--json'])
  expect(JSON.parse(accepted.stdout)).toMatchObject({ nodeId: 'n1', accepted: true })
  const client = await (await start()).connect()
  const bodies: unknown[] = []
  await client.subscribe('orders', async ({ body }) => void bodies.push(body), { queue: 'orders' })
  await eventually(() => bodies[0] === 'the first')
})

it('says that nothing is damaged where nothing is', async () => {
  await start()
  await stop()
  const { code, stdout } = await runCli(['repair', '--data', dataDir])
  expect([code, stdout]).toEqual([
    0,
    `${dataDir}, node n1\n  nothing is damaged\n\nThere is nothing to accept: start the node.\n`,
  ])
})

it('refuses while the node runs, and where there is no node', async () => {
  await start()
  const running = await runCli(['repair', '--data', dataDir, '--accept-loss'])
  expect([running.code, running.stdout]).toEqual([1, ''])
  expect(running.stderr).toMatch(/^meshmq: DirectoryInUse: [^\n]+\n$/)
  const nowhere = await runCli(['repair', '--data', directory])
  expect([nowhere.code, nowhere.stderr]).toEqual([1, expect.stringContaining("is no node's data directory")])
})
