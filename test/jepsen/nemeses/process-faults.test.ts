/** Faults of processes, clients and members: what they do in which order, what they leave behind, and when they keep their hands off. */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { clients } from '../../../jepsen-lite/nemeses/clients.ts'
import { nemeses } from '../../../jepsen-lite/nemeses/index.ts'
import { kill } from '../../../jepsen-lite/nemeses/kill.ts'
import { members } from '../../../jepsen-lite/nemeses/members.ts'
import { pause } from '../../../jepsen-lite/nemeses/pause.ts'
import { rolling } from '../../../jepsen-lite/nemeses/rolling.ts'
import { transfer } from '../../../jepsen-lite/nemeses/transfer.ts'
import type { Fault, Nemesis } from '../../../jepsen-lite/nemesis.ts'
import { seeded } from '../../../jepsen-lite/random.ts'
import { type CliResult, done, RecordedTarget } from './recorded-target.ts'

const nodes = ['n1', 'n2', 'n3']

/** The first fault of that name. */
function drawn(nemesis: Nemesis, name: string | RegExp): Fault {
  for (let seed = 0; seed < 1_000; seed++) {
    const fault = nemesis.draw(seeded(seed), nodes)
    if (fault.name.match(name)) return fault
  }
  throw new Error(`${nemesis.name} never draws ${name}`)
}

describe.each([
  [kill, 'kill', 'start', 'kills'],
  [pause, 'pause', 'resume', 'pauses'],
] as const)('%s', (nemesis, verb, undo, figure) => {
  it(`hits one, the leader, a majority or all (${verb})`, async () => {
    const names = new Set(Array.from({ length: 200 }, (_, seed) => nemesis.draw(seeded(seed), nodes).name))
    const all = ['n1', 'n2', 'n3', 'leader', 'n1,n2', 'n1,n3', 'n2,n3', 'n1,n2,n3'].map((name) => `${verb} ${name}`)
    expect(names).toEqual(new Set(all))
    const target = new RecordedTarget(3, 'n2')
    const fault = drawn(nemesis, `${verb} leader`)
    expect((await fault.begin(target)).done).toEqual({ [figure]: 1 })
    await fault.end(target)
    expect(target.calls).toEqual([`${verb} n2`, `${undo} n2`])
  })

  it(`undoes what it did itself, and nothing that others did (${undo})`, async () => {
    const target = new RecordedTarget(3)
    target.down.add('n1')
    const fault = drawn(nemesis, `${verb} n1,n2,n3`)
    expect((await fault.begin(target)).done).toEqual({ [figure]: 2 })
    await fault.end(target)
    expect(target.calls).toEqual([`${verb} n2`, `${verb} n3`, `${undo} n2`, `${undo} n3`])
  })
})

describe('rolling', () => {
  it('stops the next node only when all are ready', async () => {
    const target = new RecordedTarget(3)
    const fault = drawn(rolling, 'n2,n1,n3')
    expect((await fault.begin(target)).done).toEqual({ restarts: 3 })
    expect(target.calls).toEqual(['stop n2', 'start n2', 'stop n1', 'start n1', 'stop n3', 'start n3'])
  })

  it('ends where somebody does not get ready', async () => {
    const target = new RecordedTarget(3)
    const fault = drawn(rolling, 'n2,n1,n3')
    const start = target.start.bind(target)
    target.start = async (node) => {
      await start(node)
      target.late.add('n3')
    }
    const { what, done: figures } = await fault.begin(target)
    expect([what, figures]).toEqual(['given up after 1: n3 is not ready', { restarts: 1 }])
    expect(target.calls).toEqual(['stop n2', 'start n2'])
  })

  it('does not begin a round in the middle of another, and starts whom it left down', async () => {
    const target = new RecordedTarget(3)
    const [first, second] = [drawn(rolling, 'n2,n1,n3'), drawn(rolling, 'n3,n1,n2')]
    const { promise, reject } = withResolvers()
    target.stop = async (node) => {
      target.down.add(node)
      await promise
    }
    const begun = first.begin(target)
    expect((await second.begin(target)).what).toBe('nothing: another round is under way')
    reject(new Error('it hangs'))
    await expect(begun).rejects.toThrow('it hangs')
    await first.end(target)
    expect(target.calls).toEqual(['start n2'])
  })
})

describe('transfer', () => {
  it('hands over to another one, and does not count what was refused', async () => {
    const target = new RecordedTarget(3, 'n1')
    const transferred = async (name: string) => (await drawn(transfer, name).begin(target)).done.transfers
    expect(await transferred('to n2')).toBe(1)
    expect(await transferred('to n1')).toBe(1)
    expect(await transferred('leadership$')).toBe(1)
    target.answer = () => ({ code: 1, stdout: '', stderr: 'meshmq: NoQuorum: no leader is known' })
    expect(await transferred('to n2')).toBe(0)
    const [toN2, whoever] = ['transfer-leader n2 --timeout 10', 'transfer-leader --timeout 10']
    expect(target.calls).toEqual([toN2, whoever, whoever, toN2])
  })
})

describe('members', () => {
  beforeEach(() => {
    folder = mkdtempSync(path.join(os.tmpdir(), 'meshmq-test-'))
    mkdirSync(path.join(folder, 'wal'))
    writeFileSync(path.join(folder, 'wal', '1.wal'), 'log')
    writeFileSync(path.join(folder, 'boot'), '7')
  })
  afterEach(() => rmSync(folder, { recursive: true }))
  let folder: string

  /** Answers as a cluster from which a removed node is gone until it was added. */
  function clusterWithout(refuse: (command: string) => CliResult | undefined = () => undefined) {
    const target = new RecordedTarget(3)
    target.dataDirectory = folder
    const voters = new Set(target.nodes)
    target.answer = ([, command, node]) => {
      const refused = refuse(command!)
      if (refused !== undefined) return refused
      if (command === 'remove') voters.delete(node!)
      if (command === 'add') voters.add(node!)
      const listed = target.nodes.map((id) => ({ id, role: voters.has(id) ? 'voter' : 'none' }))
      return command === 'status' ? { ...done, stdout: JSON.stringify({ role: 'leader', members: listed }) } : done
    }
    return target
  }

  it('removes a node and adds it again, with its directory emptied while it is down', async () => {
    const target = clusterWithout()
    const fault = drawn(members, 'remove n2, add it again emptied')
    expect((await fault.begin(target)).done).toEqual({ removals: 1 })
    expect(readdirSync(folder)).toEqual(['boot', 'wal'])
    expect((await fault.end(target)).done).toEqual({ additions: 1 })
    expect(readdirSync(folder)).toEqual([])
    const calls = ['wound n2', 'remove n2 --timeout 15', 'work on n2', 'start n2', 'add n2 --promote --timeout 15']
    expect(target.calls).toEqual([...calls, 'healed n2'])
  })

  it('leaves the directory of a node alone that was not removed, and does not add one that is a voter', async () => {
    const no = { code: 1, stdout: '', stderr: 'meshmq: NoQuorum' }
    const target = clusterWithout((command) => (command === 'remove' ? no : undefined))
    const fault = drawn(members, 'remove n2, add it again emptied')
    expect(await fault.begin(target)).toEqual({
      what: 'remove n2: exit code 1: meshmq: NoQuorum',
      done: { removals: 0 },
    })
    expect(await fault.end(target)).toEqual({ what: 'n2 is a voter', done: {} })
    expect(readdirSync(folder)).toEqual(['boot', 'wal'])
    expect(target.calls.at(-1)).toBe('healed n2')
  })

  it('adds again and again until it is done', async () => {
    let refusals = 2
    const no = { code: 1, stdout: '', stderr: 'meshmq: Timeout' }
    const target = clusterWithout((command) => (command === 'add' && refusals-- > 0 ? no : undefined))
    const fault = drawn(members, /remove n2, add it again$/)
    await fault.begin(target)
    expect((await fault.end(target)).done).toEqual({ additions: 1 })
    expect(target.calls.filter((call) => call.startsWith('add'))).toHaveLength(3)
    expect(readdirSync(folder)).toEqual(['boot', 'wal'])
  })

  it('does nothing while another disk is hurt, or somebody else is away', async () => {
    const target = clusterWithout()
    target.isWoundable = false
    const refused = drawn(members, 'remove the leader')
    expect((await refused.begin(target)).what).toBe('nothing: another disk is hurt')
    await refused.end(target)
    expect(target.calls).toEqual(['wound n1'])
    target.isWoundable = true
    const [first, second] = [drawn(members, 'remove n2'), drawn(members, 'remove n3')]
    await first.begin(target)
    expect((await second.begin(target)).what).toBe('nothing: another change is under way')
    await second.end(target)
    await first.end(target)
    expect(target.calls.filter((call) => call.includes('n3'))).toEqual([])
  })
})

it('kills a process with clients, and counts them', async () => {
  const target = new RecordedTarget(3)
  target.workersKilled = 4
  expect((await clients.draw(seeded(1), nodes).begin(target)).done).toEqual({ clientsKilled: 4 })
})

it('has a name of its own for each nemesis, and none of them bites when nothing was done', () => {
  expect(new Set(nemeses.map(({ name }) => name)).size).toBe(nemeses.length)
  for (const { bite, name } of nemeses) expect(bite({}), name).toEqual(expect.any(String))
  const bites = { kills: 1, pauses: 1, transfers: 1, removals: 1, restarts: 1, clientsKilled: 1 }
  for (const { bite } of [kill, pause, transfer, members, rolling, clients]) expect(bite(bites)).toBeUndefined()
})

function withResolvers(): { readonly promise: Promise<void>; readonly reject: (error: Error) => void } {
  let reject: (error: Error) => void = () => {}
  const promise = new Promise<void>((_, fail) => (reject = fail))
  return { promise, reject }
}
