import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Event } from '../../jepsen-lite/history.ts'
import { CliProcess } from '../cli/run-cli.ts'
import { eventually } from '../support/eventually.ts'

const root = path.resolve(import.meta.dirname, '../..')
let results = ''

beforeAll(() => {
  // Not in the system's folder for temporary files, which may be in memory: jepsen-lite refuses that.
  mkdirSync(path.join(root, 'data'), { recursive: true })
  results = mkdtempSync(path.join(root, 'data', 'jepsen-test-'))
})

afterAll(() => rmSync(results, { recursive: true, force: true }))

/** `meshmq chaos` from the sources, with nodes from the sources. */
function start(name: string, ...args: string[]) {
  const place = path.join(results, name)
  const bin = path.join(root, 'node/cli/main.ts')
  const environment = { NODE_OPTIONS: '--import tsx' }
  const run = new CliProcess(['chaos', '--results', place, '--bin', bin, ...args], environment)
  return { run, place }
}

async function chaos(name: string, ...args: string[]) {
  const { run, place } = start(name, ...args)
  const { code, stdout, stderr } = await run.ended()
  const folder = existsSync(place) ? path.join(place, readdirSync(place)[0]!) : undefined
  return { code, output: stdout + stderr, folder }
}

/** Process ids of the nodes of a run. */
function processesIn(folder: string): number[] {
  return execFileSync('ps', ['-eo', 'pid,args'], { encoding: 'utf8' })
    .split('\n')
    .filter((command) => command.includes(folder))
    .map((line) => Number.parseInt(line, 10))
}

describe('a whole run', { timeout: 120_000 }, () => {
  it('of real processes, some of which are killed, is valid and leaves its history', async () => {
    const { code, output, folder } = await chaos('kill', '--nemesis', 'kill', '--seconds', '10', '--seed', '3')
    expect({ code, output }).toMatchObject({ code: 0, output: expect.stringContaining('VALID') })
    expect(output).toMatch(/\d+ s left, \d+ operations/)
    const { valid, bite, evidence } = JSON.parse(readFileSync(path.join(folder!, 'results.json'), 'utf8'))
    expect({ valid, kills: bite[0].done.kills > 0, counted: evidence.kills > 0 }).toEqual({
      valid: true,
      kills: true,
      counted: true,
    })
    const lines = readFileSync(path.join(folder!, 'history.jsonl'), 'utf8').trimEnd().split('\n')
    const history = lines.map((line) => JSON.parse(line) as Event)
    expect(history.map(({ index }) => index)).toEqual(history.map((_, i) => i))
    expect(history.filter(({ process, f }) => process === 'nemesis' && f === 'kill').length).toBeGreaterThan(1)
    const acknowledged = history.filter(({ type, f }) => type === 'ok' && f === 'publish').length
    expect(acknowledged).toBeGreaterThan(80)
    expect(existsSync(path.join(folder!, 'report.html'))).toBe(true)
    expect(existsSync(path.join(folder!, 'data'))).toBe(false)
  })

  it('in which next to nothing was done is unknown', async () => {
    const { code, output } = await chaos('idle', '--nemesis', 'none', '--seconds', '2', '--rate', '1', '--seed', '1')
    expect(code).toBe(2)
    expect(output).toContain('UNKNOWN')
    expect(output).toMatch(/only \d+ of at least \d+ publish succeeded/)
  })

  it('that is interrupted is healed, drained and judged all the same, and unknown', async () => {
    const { run } = start('interrupted', '--nemesis', 'pause', '--seconds', '600', '--seed', '1')
    await run.printed(/ [1-9]\d* operations/)
    run.child.kill('SIGINT')
    const { code, stdout } = await run.ended()
    expect(code).toBe(2)
    expect(stdout).toContain('it was ended early')
    expect(stdout).toMatch(/ok\.drain [1-9]/)
  })

  it('that dies leaves its history, and no node, not even one that is paused', async () => {
    const { run, place } = start('dead', '--nemesis', 'none', '--seconds', '600', '--seed', '1')
    await run.printed(/ [1-9]\d* operations/)
    const folder = path.join(place, readdirSync(place)[0]!)
    const published = () => {
      // What a SIGKILL cuts off is the last line.
      const lines = readFileSync(path.join(folder, 'history.jsonl'), 'utf8').split('\n').slice(0, -1)
      const events = lines.map((line) => JSON.parse(line) as Event)
      return events.filter(({ f, type }) => f === 'publish' && type === 'ok').length
    }
    await eventually(() => published() > 0, { what: 'a publish is in the history' })
    const [node] = processesIn(folder)
    process.kill(node!, 'SIGSTOP')
    run.child.kill('SIGKILL')
    await run.ended()
    expect(published()).toBeGreaterThan(0)
    expect(existsSync(path.join(folder, 'results.json'))).toBe(false)
    await eventually(() => processesIn(folder).length === 0, { what: 'its nodes are gone' })
  })

  it('is not begun with a name that is none', async () => {
    const { code, output } = await chaos('misuse', '--nemesis', 'flood')
    expect({ code, output }).toEqual({ code: 2, output: "meshmq chaos: there is no nemesis 'flood': see --list\n" })
  })

  it('can be chosen from a list that says what cannot be done here', async () => {
    const { code, output } = await chaos('list', '--list')
    expect(code).toBe(0)
    for (const name of ['queue', 'kill', 'partition']) expect(output).toMatch(new RegExp(`^ {2}${name} +\\S`, 'm'))
  })
})
