/**
 * Changes of the members: a node is removed by an operator (the leader too) and added again some time later, with its directory as it was, or
 * emptied. While it is away the others have one disk less between them, so that counts as a wound.
 */
import { readdir, rm } from 'node:fs/promises'
import path from 'node:path'
import { performance } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Fault, FaultReport, FaultTarget, Nemesis } from '../nemesis.ts'
import { answerOf } from './operator.ts'
import { theLeader } from './victims.ts'

const AWAY_MS_MIN = 500
const AWAY_MS_MAX = 5_000

/** One command, seconds. */
const COMMAND_S = 15

/** For the node to be a voter again, milliseconds. Less than a step of a fault may take. */
const BACK_MS = 90_000
const AGAIN_MS = 500

export const members: Nemesis = {
  name: 'members',
  about: 'meshmq cluster remove a node, at times the leader, and add it again, with its directory or an emptied one',
  draw(random, nodes) {
    const victim = random.pick(nodes)
    const isLeader = random.chance(0.3)
    const isEmptied = random.chance(0.5)
    const name = `remove ${isLeader ? 'the leader' : victim}, add it again${isEmptied ? ' emptied' : ''}`
    const find = async (target: FaultTarget) => (isLeader ? (await theLeader([victim]).find(target))[0]! : victim)
    return faultOf(name, random.between(AWAY_MS_MIN, AWAY_MS_MAX), find, isEmptied)
  },
  bite: ({ removals = 0 }) => (removals > 0 ? undefined : 'no node was removed'),
}

/** Clusters in which somebody is away: nobody else is removed meanwhile. */
const underWay = new WeakSet<FaultTarget>()

function faultOf(
  name: string,
  holdMs: number,
  find: (target: FaultTarget) => Promise<string>,
  isEmptied: boolean,
): Fault {
  /** Whom it may have removed: a command that failed may yet be done. */
  let away: string | undefined
  let isGone = false
  return {
    name,
    holdMs,
    async begin(target): Promise<FaultReport> {
      const node = await find(target)
      if (underWay.has(target)) return { what: 'nothing: another change is under way', done: {} }
      if (!target.wound(node)) return { what: 'nothing: another disk is hurt', done: {} }
      underWay.add(target)
      away = node
      const result = await target.cli(['cluster', 'remove', node, '--timeout', String(COMMAND_S)])
      isGone = result.code === 0
      return { what: `remove ${node}: ${answerOf(result)}`, done: { removals: Number(isGone) } }
    },
    async end(target) {
      if (away === undefined) return { what: '', done: {} }
      try {
        if (isEmptied && isGone) await emptyDirectory(target, away)
        const report = await addAgain(target, away)
        target.healed(away)
        return report
      } finally {
        underWay.delete(target)
      }
    },
  }
}

async function emptyDirectory(target: FaultTarget, node: string): Promise<void> {
  await target.whileDown(node, async () => {
    const folder = target.dataDir(node)
    // The folder itself may be where a disk is mounted.
    for (const name of await readdir(folder)) await rm(path.join(folder, name), { recursive: true, force: true })
  })
}

/** Other faults may be in the way: it is tried until it is done. Throws when there is no more time. */
async function addAgain(target: FaultTarget, node: string): Promise<FaultReport> {
  const deadlineMs = performance.now() + BACK_MS
  for (let tries = 1; ; tries++) {
    await target.start(node)
    if (await isVoter(target, node)) return { what: `${node} is a voter`, done: {} }
    const result = await target.cli(['cluster', 'add', node, '--promote', '--timeout', String(COMMAND_S)])
    if (result.code === 0) return { what: `add ${node}: ${answerOf(result)}`, done: { additions: 1 } }
    if (performance.now() >= deadlineMs)
      throw new Error(`${node} is no voter after ${tries} tries: ${answerOf(result)}`)
    await sleep(AGAIN_MS)
  }
}

/** By the leader's own word. */
async function isVoter(target: FaultTarget, node: string): Promise<boolean> {
  const { code, stdout } = await target.cli(['cluster', 'status', '--json'])
  if (code !== 0) return false
  const seen = JSON.parse(stdout) as { role: string; members: readonly { id: string; role: string }[] }
  return seen.role === 'leader' && seen.members.some(({ id, role }) => id === node && role === 'voter')
}
