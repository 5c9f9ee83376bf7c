/** A cluster of real node processes in network namespaces; where this machine has none, that a run is told so before it begins. */
import { existsSync, rmSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Client, connect } from '../../../../client/index.ts'
import { runCli } from '../../../../jepsen-lite/cli.ts'
import { Cluster } from '../../../../jepsen-lite/cluster/cluster.ts'
import { listNames } from '../../../../jepsen-lite/cluster/namespaces/names.ts'
import { namespacesUnavailable } from '../../../../jepsen-lite/cluster/namespaces/unavailable.ts'
import { seeded } from '../../../../jepsen-lite/random.ts'
import { packedBin, packMeshmq } from '../../../proof/packed.ts'
import { eventually } from '../../../support/eventually.ts'
import { realDiskFolder } from '../../../support/place.ts'

const folder = realDiskFolder()
const why = await namespacesUnavailable()

afterAll(() => rmSync(folder, { recursive: true, force: true }))

if (why === undefined) describe('a cluster in namespaces', { timeout: 90_000 }, whatItDoes)
else it(`is refused before anything begins: ${why}`, isRefused)

async function isRefused(): Promise<void> {
  const place = `${folder}/results`
  expect(await runCli(['--network', 'namespaces', '--seconds', '1', '--results', place], 'jepsen')).toBe(2)
  expect(existsSync(place)).toBe(false)
}

function whatItDoes(): void {
  let cluster: Cluster
  let client: Client

  beforeAll(async () => {
    await packMeshmq()
    const random = seeded(Date.now())
    cluster = await Cluster.start({ nodes: 3, folder, bin: packedBin(), network: 'namespaces', random })
    client = await connect({ ...cluster.connectOptions })
  }, 240_000)

  afterAll(async () => {
    await client?.close()
    await cluster?.shutDown()
  }, 60_000)

  it('takes a leader off whom nobody hears, who is not dead, and agrees when it is healed', async () => {
    const leader = await eventually(() => cluster.leader())
    const others = cluster.nodes.filter((node) => node !== leader)
    for (const other of others) await cluster.links.impair(leader, other, { type: 'blackhole' })
    await eventually(async () => ![undefined, leader].includes(await cluster.leader()), { what: 'another one leads' })
    await client.publish('somewhere', 'to the new leader')
    expect(cluster.isRunning(leader)).toBe(true)
    expect(await cluster.heal(30_000)).toBeUndefined()
    expect(await cluster.agree(10_000)).toMatchObject({ ok: true })
    expect(cluster.evidence().bytesDropped).toBeGreaterThan(0)
  })

  it('kills, pauses and starts nodes as anywhere, and reaches them by the CLI', async () => {
    const leader = await eventually(() => cluster.leader())
    expect(await cluster.kill(leader)).toBe(true)
    expect(await cluster.ready(leader, 0)).toBe(false)
    await eventually(async () => ![undefined, leader].includes(await cluster.leader()), { what: 'another one leads' })
    await cluster.start(leader)
    expect(await cluster.ready(leader, 30_000)).toBe(true)
    cluster.pause(leader)
    expect(await cluster.ready(leader, 0)).toBe(false)
    cluster.resume(leader)
    const { code, stdout } = await cluster.cli(['cluster', 'status', '--json'])
    expect({ code, members: JSON.parse(stdout).members.length }).toEqual({ code: 0, members: 3 })
    expect(await cluster.heal(30_000)).toBeUndefined()
    expect(cluster.crashes).toEqual([])
  })

  it('leaves nothing behind', async () => {
    await client.close()
    await cluster.shutDown()
    const own = (await listNames()).filter((name) => name.startsWith(`meshmq-${process.pid}-`))
    expect(own).toEqual([])
    await expect(connect({ ...cluster.connectOptions, connectTimeoutMs: 300 })).rejects.toThrow()
  })
}
