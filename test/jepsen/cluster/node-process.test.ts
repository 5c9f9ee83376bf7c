/** How the process of a node may end, and what is told when it ends otherwise, or does not end. In its place: programs of a few lines. */
import { execFileSync } from 'node:child_process'
import { rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { NodeProcess } from '../../../jepsen-lite/cluster/node-process.ts'
import { eventually } from '../../support/eventually.ts'
import { realDiskFolder } from '../../support/place.ts'

const noSpace = { codes: ['NoSpace'] }
/** Goes on, whatever comes. */
const stubborn = `process.on('SIGTERM', () => {}); setInterval(() => {}, 1_000)`

let folder: string
let node: NodeProcess
let wrongs: string[]

beforeEach(() => {
  folder = realDiskFolder()
  wrongs = []
  writeFileSync(path.join(folder, 'log'), '')
  node = new NodeProcess({
    id: 'n1',
    bin: path.join(folder, 'bin.mjs'),
    config: 'none',
    log: path.join(folder, 'log'),
    nodeArgs: [],
    env: {},
    runBy: [],
    ownEndMs: 300,
    onStart: () => {},
    onExit: () => {},
    onWrong: (wrong, how) => wrongs.push(`${wrong}: ${how}`),
  })
})

afterEach(() => {
  node.abandon()
  rmSync(folder, { recursive: true, force: true })
})

function becomes(program: string): void {
  writeFileSync(path.join(folder, 'bin.mjs'), program)
}

function saysAndEnds(lastWord: string, code: number): string {
  return `console.error(${JSON.stringify(lastWord)}); process.exitCode = ${code}`
}

async function startAndEnd(program: string): Promise<void> {
  becomes(program)
  await node.start()
  await eventually(() => !node.running, { what: 'it is gone' })
}

/** Resolves when its program runs. */
async function startStubborn(): Promise<void> {
  becomes(`${stubborn}; console.log('here')`)
  await node.start()
  await eventually(() => node.tail().includes('here'), { what: 'it is there' })
}

describe('an end that is expected', () => {
  it.each([
    ['of the code that it was to have', saysAndEnds('meshmq: NoSpace: no space is left', 1), 1, []],
    ['of another code', saysAndEnds('meshmq: InvariantError: oh', 1), 0, ['crashed: ended by itself with exit code 1']],
    [
      'of that code, and not the last',
      saysAndEnds('meshmq: NoSpace: x\nmeshmq: Oh: y', 1),
      0,
      ['crashed: ended by itself with exit code 1'],
    ],
    ['without a word', 'process.exitCode = 1', 0, ['crashed: ended by itself with exit code 1']],
    ['of another exit code', saysAndEnds('meshmq: NoSpace: x', 7), 0, ['crashed: ended by itself with exit code 7']],
    ['in good order', saysAndEnds('meshmq: NoSpace: x', 0), 0, ['crashed: ended by itself with exit code 0']],
    [
      'by a signal',
      `console.error('meshmq: NoSpace: x'); process.abort()`,
      0,
      ['crashed: ended by itself with SIGABRT'],
    ],
  ])('is none but one %s', async (_, program, count, told) => {
    const expected = node.expectEnd(noSpace)
    await startAndEnd(program)
    expect([expected.count, wrongs]).toEqual([count, told])
  })

  it('may be one in native code', async () => {
    const expected = node.expectEnd({ codes: [], signals: ['SIGABRT'] })
    await startAndEnd('process.abort()')
    expect([expected.count, wrongs]).toEqual([1, []])
  })

  it('is told by the life that ends, not by one before it', async () => {
    const expected = node.expectEnd(noSpace)
    await startAndEnd(saysAndEnds('meshmq: NoSpace: no space is left', 1))
    await startAndEnd('process.exitCode = 1')
    expect([expected.count, wrongs]).toEqual([1, ['crashed: ended by itself with exit code 1']])
  })

  it('is one when it was asked to stop, too', async () => {
    const expected = node.expectEnd(noSpace)
    const fails = (code: string) =>
      `process.on('SIGTERM', () => { console.error('meshmq: ${code}: x'); process.exit(1) }); console.log('here'); setInterval(() => {}, 1_000)`
    for (const code of ['NoSpace', 'Other']) {
      becomes(fails(code))
      const before = node.tail()
      await node.start()
      await eventually(() => node.tail().slice(before.length).includes('here'), { what: 'it is there' })
      await node.stop()
    }
    expect([expected.count, wrongs]).toEqual([1, ['crashed: ended with exit code 1 when it was asked to stop']])
  })

  it('is one until it is over; where a life has met what may end it later, as long as that lives', async () => {
    const ends = `process.on('message', () => {}); setTimeout(() => { ${saysAndEnds('meshmq: NoSpace: x', 1)}; process.disconnect() }, 150)`
    becomes(ends)
    const [first, second] = [node.expectEnd(noSpace), node.expectEnd(noSpace)]
    await node.start()
    first.over()
    second.overWithItsLife()
    await eventually(() => !node.running, { what: 'it is gone' })
    expect([first.count, second.count, wrongs]).toEqual([0, 1, []])
    await startAndEnd(ends)
    expect([second.count, wrongs]).toEqual([1, ['crashed: ended by itself with exit code 1']])
  })
})

it('has crashed, too, when it is killed before anybody has heard of its end', async () => {
  const told = path.join(folder, 'go')
  const look = `if (existsSync(${JSON.stringify(told)})) process.exit(3)`
  becomes(`import { existsSync } from 'node:fs'; console.log('here'); setInterval(() => { ${look} }, 5)`)
  await node.start()
  await eventually(() => node.tail().includes('here'), { what: 'it is there' })
  const { pid } = node.child!
  writeFileSync(told, '')
  // This process hears of nothing until that one is a zombie: it has ended, and its parent has not asked how.
  const isOver = () => execFileSync('ps', ['-o', 'stat=', '-p', String(pid)], { encoding: 'utf8' }).startsWith('Z')
  for (const beganMs = performance.now(); !isOver(); ) if (performance.now() - beganMs > 10_000) expect.unreachable()
  expect(await node.kill()).toBe(true)
  expect(wrongs).toEqual(['crashed: ended by itself with exit code 3'])
})

describe('a node that must end', () => {
  it('is told of and killed when it goes on, and time in which it is paused does not count', async () => {
    await startStubborn()
    node.pause()
    const ended = node.mustEnd()
    await new Promise((resolve) => setTimeout(resolve, 700))
    expect([node.running, wrongs]).toEqual([true, []])
    node.resume()
    await ended
    expect(node.running).toBe(false)
    expect(wrongs).toEqual(['survived: went on for 300 ms after a write or a sync of its log had failed'])
  })

  it('is not told of when it ends, or another fault has killed it', async () => {
    await node.mustEnd()
    await startStubborn()
    const ended = node.mustEnd()
    await node.kill()
    await ended
    expect(wrongs).toEqual([])
  })
})

describe('work on the files of a node', () => {
  it('waits until it is down, though somebody before was to start it', async () => {
    becomes(stubborn)
    const runs: boolean[] = []
    let started: Promise<boolean> | undefined
    let second: Promise<void> | undefined
    await node.whileDown(async () => {
      started = node.start()
      second = node.whileDown(async () => void runs.push(node.running))
    })
    expect(await started).toBe(true)
    await second
    expect(runs).toEqual([false])
  })
})
