import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { commandOf } from '../../../jepsen-lite/report/command.ts'
import { writeLines } from '../../../jepsen-lite/report/lines.ts'
import { writeResults } from '../../../jepsen-lite/report/results.ts'
import { type Edn, readEdn } from './edn-reader.ts'
import { NASTY, syntheticRun } from './synthetic.ts'

describe('A results folder', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'meshmq-report-'))
  const run = syntheticRun({ text: NASTY })
  const read = (name: string) => readFileSync(path.join(folder, name), 'utf8')
  const linesOf = (name: string) => read(name).trimEnd().split('\n')

  beforeAll(async () => writeResults(run, folder))
  afterAll(() => rmSync(folder, { recursive: true }))

  it('holds what it says, and nothing else', () => {
    expect(readdirSync(folder).sort()).toEqual(['README.txt', 'history.edn', 'report.html', 'results.json'])
  })

  it('has every event as a line of EDN with the same content', () => {
    const lines = linesOf('history.edn')
    expect(lines).toHaveLength(run.history.length)
    lines.forEach((line, i) => {
      const { index, time, type, f, error } = run.history[i]!
      const map = readEdn(line) as ReadonlyMap<string, Edn>
      expect(map.get(':index')).toBe(index)
      expect(map.get(':time')).toBe(time)
      expect(map.get(':type')).toEqual({ keyword: type })
      expect(map.get(':f')).toEqual({ keyword: f })
      expect(map.get(':value')).toEqual(run.history[i]!.value)
      expect(map.get(':error')).toBe(error)
    })
  })

  it('has the verdict, the seed, the versions, the faults and the figures as JSON', () => {
    const results = JSON.parse(read('results.json'))
    const { verdict, settings, versions, faults, schedule, evidence } = run
    expect(results).toMatchObject({
      valid: false,
      anomalies: verdict.anomalies,
      counts: verdict.counts,
      settings,
      versions,
      evidence,
    })
    expect(results).toMatchObject({ faults, schedule, events: run.history.length, command: commandOf(settings) })
    const publish = results.operations.find(({ f }: { f: string }) => f === 'publish')
    expect(publish.ok).toBe(run.history.filter(({ f, type }) => f === 'publish' && type === 'ok').length)
    expect(results.unready.n1.length + results.unready.n2.length + results.unready.n3.length).toBeGreaterThan(0)
    expect(results.leaders[0]).toMatchObject({ leader: 'n2', term: 2 })
  })

  it('says how to do it again', () => {
    expect(read('README.txt')).toContain(commandOf(run.settings))
    expect(read('report.html')).toContain(
      'npm run jepsen -- --workload queue --nemesis kill,partition,slow-disk --seconds 60 --seed 7',
    )
  })
})

describe('The command of a run', () => {
  const { settings } = syntheticRun()

  it('names every setting', () => {
    expect(commandOf({ ...settings, nemeses: [] })).toBe(
      'npm run jepsen -- --workload queue --nemesis none --seconds 60 --seed 7 --nodes 3 --concurrency 10 --rate 67 --bin dist/node/cli/main.js --network proxies',
    )
  })

  it('quotes what a shell would take apart', () => {
    const command = commandOf({ ...settings, bin: '/a b/$HOME', nodeOptions: { note: "it's" } })
    expect(command).toContain(`--bin '/a b/$HOME' --network proxies --node-options '{"note":"it'\\''s"}'`)
  })
})

describe('Lines', () => {
  it('are written in blocks and arrive whole, however many', async () => {
    const file = path.join(mkdtempSync(path.join(tmpdir(), 'meshmq-lines-')), 'lines')
    const lines = Array.from({ length: 60_000 }, (_, i) => `line ${i} ü`)
    await writeLines(file, lines)
    expect(readFileSync(file, 'utf8')).toBe(`${lines.join('\n')}\n`)
    await writeLines(file, [])
    expect(readFileSync(file, 'utf8')).toBe('')
    rmSync(path.dirname(file), { recursive: true })
  })
})
