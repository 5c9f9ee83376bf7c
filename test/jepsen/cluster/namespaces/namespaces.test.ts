/** Network namespaces and packet filters, where this machine has them; where it has not, that it says why. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import os from 'node:os'
import path from 'node:path'
import process from 'node:process'
import { pathToFileURL } from 'node:url'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { runCli } from '../../../../jepsen-lite/cli.ts'
import { inside, tell } from '../../../../jepsen-lite/cluster/namespaces/commands.ts'
import { NamespaceLinks } from '../../../../jepsen-lite/cluster/namespaces/links.ts'
import { listNames, sweep } from '../../../../jepsen-lite/cluster/namespaces/names.ts'
import { namespacesUnavailable } from '../../../../jepsen-lite/cluster/namespaces/unavailable.ts'
import { Wires } from '../../../../jepsen-lite/cluster/namespaces/wires.ts'
import { eventually } from '../../../support/eventually.ts'
import { NamespacePeer, PORT } from './peer.ts'

const why = await namespacesUnavailable()

describe('whether there are namespaces', () => {
  it.each([
    ['darwin', 0, 'network namespaces are of Linux only'],
    ['linux', 1000, 'network namespaces need root'],
  ] as const)('is told in a sentence: on %s as user %i', async (platform, uid, sentence) => {
    expect(await namespacesUnavailable(platform, uid)).toBe(sentence)
  })
})

if (why === undefined) describe('with namespaces', { timeout: 60_000 }, whatTheyDo)
else describe('without namespaces', () => it(`a run with them is refused: ${why}`, isRefused))

async function isRefused(): Promise<void> {
  const said: string[] = []
  const stderr = vi.spyOn(process.stderr, 'write').mockImplementation((text) => said.push(String(text)) > 0)
  const code = await runCli(['--network', 'namespaces', '--nemesis', 'none'], 'jepsen')
  stderr.mockRestore()
  expect([code, ...said]).toEqual([2, `jepsen: the network namespaces cannot be had here: ${why}\n`])
}

function whatTheyDo(): void {
  let wires: Wires
  let links: NamespaceLinks
  let n1: NamespacePeer
  let n2: NamespacePeer

  beforeEach(async () => {
    wires = await Wires.lay(['n1', 'n2'])
    links = new NamespaceLinks(wires)
    n1 = await NamespacePeer.start(wires.places.get('n1')!)
    n2 = await NamespacePeer.start(wires.places.get('n2')!)
  })

  afterEach(async () => {
    await Promise.all([n1.die(), n2.die()])
    wires.remove()
  })

  it('a process is our own child in its namespace: by its id, its channel and its signals', async () => {
    expect(n1.pid).toBe(n1.child.pid)
    await n2.connectTo(n1)
    expect(n1.accepted).toEqual([n2.place.address])
    expect(await n1.die()).toBe('SIGKILL')
    n2.dial(n1.place.address)
    await n2.endsWith('ECONNREFUSED')
  })

  it('a black hole swallows one direction alone, and what was lost in it comes late', async () => {
    await n2.connectTo(n1)
    const end = await links.impair('n2', 'n1', { type: 'blackhole' })
    n2.say('up')
    n1.say('down')
    await n2.hears('down')
    expect(n1.text).toBe('')
    const effect = await end()
    expect(effect).toEqual({ bytesDropped: expect.any(Number), bytesDelayed: 0, socketsReset: 0 })
    expect(effect.bytesDropped).toBeGreaterThan('up'.length)
    await n1.hears('up')
    expect([links.bytesDropped, await end()]).toEqual([effect.bytesDropped, effect])
  })

  it('a black hole on the way to the clients leaves the way from them, and other nodes', async () => {
    const client = await dialed(n1.place.address)
    await eventually(() => n1.accepted.length === 1)
    expect(n1.accepted).toEqual([wires.clientAddress])
    const end = await links.impair('n1', links.clients, { type: 'blackhole' })
    let heard = ''
    client.on('data', (bytes) => (heard += bytes))
    n1.say('down')
    client.write('up')
    await n1.hears('up')
    ;(await dialed(n2.place.address)).destroy()
    expect(heard).toBe('')
    await end()
    await eventually(() => heard === 'down', { withinMs: 20_000, what: 'it comes late' })
    client.destroy()
  })

  it('a stall holds up clients but never the harness', async () => {
    const end = await links.impair(links.clients, 'n1', { type: 'stall' })
    const client = connect(PORT, n1.place.address)
    let isConnected = false
    client.once('connect', () => (isConnected = true))
    ;(await dialed(n1.place.harnessAddress)).destroy()
    expect(isConnected).toBe(false)
    await eventually(async () => (await countedIn('n1')) > 0, { what: 'the dial is held up' })
    expect(await end()).toMatchObject({ bytesDropped: 0, socketsReset: 0 })
    expect(links.bytesDelayed).toBeGreaterThan(0)
    await eventually(() => isConnected, { withinMs: 20_000, what: 'the dial is sent again' })
    client.destroy()
  })

  it.each(['reset', 'refuse'] as const)('a %s ends both ends of a connection, and refuses the next', async (type) => {
    await n2.connectTo(n1)
    const end = await links.impair('n2', 'n1', { type })
    n1.say('down')
    await n1.endsWith('ECONNRESET')
    n2.say('up')
    await n2.endsWith('ECONNRESET')
    n2.dial(n1.place.address)
    await n2.endsWith('ECONNREFUSED')
    n1.dial(n2.place.address)
    await n1.endsWith('ECONNREFUSED')
    expect([n1.text, n2.text]).toEqual(['', ''])
    const { bytesDropped, socketsReset } = await end()
    expect(bytesDropped).toBeGreaterThan(0)
    expect(socketsReset).toBeGreaterThanOrEqual(4)
    n2.dial(n1.place.address)
    await eventually(() => n2.connected.length === 2, { what: 'it is let in again' })
  })

  it('a rate lets so many bytes pass, and the others later', async () => {
    await n2.connectTo(n1)
    const bytesPerSecond = 20_000
    const text = 'abcdefghij'.repeat(5_000)
    const end = await links.impair('n2', 'n1', { type: 'rate', bytesPerSecond })
    const beganMs = performance.now()
    n2.say(text)
    await n1.hears(text)
    // A second's worth passes at once.
    const leastMs = (1000 * (text.length - bytesPerSecond - 1_500)) / bytesPerSecond
    expect(performance.now() - beganMs).toBeGreaterThan(leastMs)
    expect((await end()).bytesDelayed).toBeGreaterThan(0)
  })

  it('faults on one way add up, and healing ends all of them', async () => {
    await n2.connectTo(n1)
    const ends = await Promise.all(
      (['blackhole', 'stall', 'reset'] as const).map((type) => links.impair('n2', 'n1', { type })),
    )
    await ends[0]!()
    n2.say('up')
    await eventually(async () => (await countedIn('n1')) > 0, { what: 'the stall holds it up' })
    expect(n2.ended).toEqual([])
    await links.heal()
    await n1.hears('up')
    expect(await tell([...inside(n1.place.name), 'nft', 'list', 'ruleset'])).toBe('')
    expect(links.bytesDelayed).toBe((await ends[1]!()).bytesDelayed)
  })

  it('knows only ways that there are, and cannot delay', async () => {
    await expect(links.impair('n1', 'n1', { type: 'stall' })).rejects.toThrow('no way from n1 to n1')
    await expect(links.impair('n3', links.clients, { type: 'stall' })).rejects.toThrow('no way from n3 to clients')
    const delayed = links.impair('n2', 'n1', { type: 'delay', ms: 1, jitterMs: 0 })
    await expect(delayed).rejects.toThrow('that needs --network proxies')
    await links.heal()
  })

  it('nothing is left of it when it is removed', async () => {
    const names = [...wires.places.values()].map(({ name }) => name)
    expect(await listNames()).toEqual(expect.arrayContaining(names))
    expect(addressesHere()).toContain(wires.clientAddress)
    wires.remove()
    const hub = names[0]!.replace(/n1$/, 'hub')
    for (const name of [...names, hub]) expect(await listNames()).not.toContain(name)
    expect(addressesHere()).not.toContain(wires.clientAddress)
  })

  it('what a run left that was killed is swept with what still runs in it, and that of others that run is not', async () => {
    const source = pathToFileURL(
      path.resolve(import.meta.dirname, '../../../../jepsen-lite/cluster/namespaces/wires.ts'),
    )
    const program = `
      process.on('disconnect', () => process.exit())
      import('${source}').then(({ Wires }) => Wires.lay(['n1'])).then((wires) => process.send([...wires.places.values()]))`
    const run = spawn(process.execPath, ['--import', 'tsx', '-e', program], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    })
    const isOver = once(run, 'exit')
    const [[place]] = await once(run, 'message')
    expect(await sweep()).not.toContain(place.name)
    const left = await NamespacePeer.start(place)
    run.kill('SIGKILL')
    await isOver
    const gone = once(left.child, 'exit')
    // Another test file may sweep at the same time.
    await eventually(async () => {
      await sweep()
      return !(await listNames()).includes(place.name)
    })
    expect(await gone).toEqual([null, 'SIGKILL'])
    expect(await listNames()).toEqual(expect.arrayContaining([n1.place.name, n2.place.name]))
  })

  async function dialed(address: string): Promise<Socket> {
    const socket = connect(PORT, address)
    await once(socket, 'connect')
    return socket
  }

  /** Packets that the filters of a node have counted. */
  async function countedIn(node: string): Promise<number> {
    const rules = await tell([...inside(wires.places.get(node)!.name), 'nft', 'list', 'ruleset'])
    return [...rules.matchAll(/packets (\d+)/g)].reduce((sum, [, packets]) => sum + Number(packets), 0)
  }
}

function addressesHere(): string[] {
  return Object.values(os.networkInterfaces()).flatMap((all) => (all ?? []).map(({ address }) => address))
}
