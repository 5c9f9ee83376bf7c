import { describe, expect, it } from 'vitest'
import type { Event } from '../../../jepsen-lite/history.ts'
import { seeded } from '../../../jepsen-lite/random.ts'
import { html } from '../../../jepsen-lite/report/html/markup.ts'
import { reportPage } from '../../../jepsen-lite/report/html/page.ts'
import { READOUT_ID, type Readout, script } from '../../../jepsen-lite/report/html/script.ts'
import type { FaultWindow, RunResult } from '../../../jepsen-lite/run/result.ts'
import { NASTY, syntheticRun } from './synthetic.ts'

/** Names of tags, and of their attributes, in the order of the page; what is in scripts and styles is text. */
function structureOf(page: string): string[] {
  const found: string[] = []
  const markup = page.replace(/(<(?:script|style)[^>]*>)[\s\S]*?(<\/(?:script|style)>)/g, '$1$2')
  for (const [, name, rest] of markup.matchAll(/<(\/?[a-zA-Z!][\w-]*)((?:"[^"]*"|[^">])*)>/g)) {
    const attributes = [...rest!.matchAll(/([\w-]+)(?:="[^"]*")?/g)].map(([, attribute]) => attribute)
    found.push([name, ...attributes].join(' '))
  }
  return found
}

function readoutOf(page: string): Readout {
  const [, json] = new RegExp(`<script type="application/json" id="${READOUT_ID}">([\\s\\S]*?)</script>`).exec(page)!
  return JSON.parse(json!) as Readout
}

describe('Markup', () => {
  it('escapes whatever is put into it, in text and in attributes', () => {
    const text = html`<b title="${NASTY}">${NASTY}</b>`.text
    expect(text.match(/</g)).toHaveLength(2)
    expect(text.match(/"/g)).toHaveLength(2)
    expect(text).toContain('&lt;/script&gt;&lt;script&gt;alert(&quot;x&quot;)')
    expect(text).toContain('\\u0000\\u0007')
    expect(text).toContain('\\u202e')
    expect(text).toContain('漢字 🧪 \\ud800')
  })

  it('takes its own parts as they are, and nothing else', () => {
    expect(html`<p>${html`<b>${'<'}</b>`}${['<', 1, undefined, false]}</p>`.text).toBe('<p><b>&lt;</b>&lt;1</p>')
  })
})

describe('The report', () => {
  const plain = reportPage(syntheticRun())

  it('has the same tags and attributes whatever the values, errors, faults and settings say', () => {
    const nasty = reportPage(syntheticRun({ text: NASTY }))
    expect(nasty).toContain('&lt;img src=x')
    expect(structureOf(nasty)).toEqual(structureOf(plain))
    expect(readoutOf(nasty).faults.some(([, , name]) => name.includes('</script>'))).toBe(true)
  })

  it('takes nothing from anywhere: no address, no frame, no import', () => {
    const tags = structureOf(plain)
    expect(tags.filter((tag) => /\bsrc\b|^(iframe|object|embed|img|base|form|audio|video)\b/.test(tag))).toEqual([])
    expect(plain).not.toMatch(/https?:|url\(|@import|\bimport\(|fetch\(|XMLHttpRequest|WebSocket/)
    const links = [...plain.matchAll(/href="([^"]*)"/g)].map(([, target]) => target!)
    expect(links.filter((target) => !target.startsWith('#') && target !== 'data:,')).toEqual([])
    expect(plain).toContain("default-src 'none'")
  })

  it('refers to nothing that is not there', () => {
    const ids = new Set([...plain.matchAll(/ id="([^"]*)"/g)].map(([, id]) => id))
    for (const [, target] of plain.matchAll(/(?:href="#|aria-labelledby=")([^"]*)"/g)) expect(ids).toContain(target)
  })

  it('has a script that can be parsed', () => {
    expect(() => new Function(script)).not.toThrow()
  })

  it.each([
    [true, 'Valid', 'The faults bit.'],
    [false, 'Invalid', 'was acknowledged after'],
    ['unknown', 'Unknown', 'partition did not bite: no byte was dropped'],
  ] as const)('says on top that a run is %s, and why', (valid, word, reason) => {
    const page = reportPage(syntheticRun({ valid }))
    const header = page.slice(page.indexOf('<header>'), page.indexOf('</header>'))
    expect(header).toContain(`${word}</h1>`)
    expect(header).toContain(reason)
    expect(page).toContain(`<title>${word}: queue under kill, partition, slow-disk, seed 7</title>`)
  })

  it('shades each fault where it was, and names it', () => {
    const run = syntheticRun({ valid: true })
    const [from, to] = [run.history[0]!.time, run.phases.find(({ name }) => name === 'drain')!.to]
    const page = reportPage(run)
    const [, shades] = /<g id="shades">([\s\S]*?)<\/g>/.exec(page)!
    const moves = [...shades!.matchAll(/M([\d.]+) 0h([\d.]+)/g)].map(([, x, width]) => [Number(x), Number(width)])
    const expected = ['kill', 'partition', 'slow-disk'].flatMap((nemesis) =>
      run.faults.filter((fault) => fault.nemesis === nemesis),
    )
    expect(moves).toHaveLength(expected.length)
    expected.forEach((fault, i) => {
      expect(moves[i]![0]).toBeCloseTo(((fault.from - from) / (to - from)) * 1000, 0)
      expect(moves[i]![1]).toBeCloseTo(((fault.to - fault.from) / (to - from)) * 1000, 0)
      expect(page).toContain(`title="${fault.name}: ${((fault.from - from) / 1e9).toFixed(3)} s, for `)
    })
  })

  it('has a chart for each operation under faults, none for those after them', () => {
    const run = syntheticRun({ valid: true })
    const index = run.history.length
    const late = { index, time: 61e9, process: 999, type: 'invoke', f: 'emptying', value: null } as const
    const page = reportPage({ ...run, history: [...run.history, late, { ...late, index: index + 1, type: 'ok' }] })
    expect([...page.matchAll(/<section class="panel"><h3>(\S+) /g)].map(([, name]) => name)).toEqual([
      'publish',
      'receive',
      'Consumers',
      'By',
    ])
    expect(page).toContain('Operations after the faults (emptying) are in the tables.')
    expect(page).toContain('<th scope="row">emptying</th>')
  })

  it('shows each anomaly with the rows around it, those that show it marked', () => {
    const run = syntheticRun()
    run.verdict.anomalies.forEach(({ message, events }, i) => {
      const start = plain.indexOf(`id="anomaly-${i + 1}"`)
      const part = plain.slice(start, plain.indexOf('</details>', start))
      expect(part).toContain(message)
      expect(part).toContain(
        `<tr class="marked"><td class="number"><span aria-label="marked">▶</span> ${events[0]}</td>`,
      )
      expect(part.match(/<tr class="marked">/g)).toHaveLength(2)
    })
  })

  it('is whole for a run in which nothing happened', () => {
    const run: RunResult = {
      ...syntheticRun({ valid: 'unknown' }),
      history: [],
      faults: [],
      phases: [],
      watch: [],
      schedule: [],
    }
    const body = (page: string) => page.replaceAll(script, '')
    expect(body(reportPage(run))).not.toMatch(/NaN|Infinity|undefined/)
    expect(body(plain)).not.toMatch(/NaN|Infinity|undefined/)
  })

  it('stays below 3 MB however long the run, and however much is wrong', { timeout: 120_000 }, () => {
    const page = reportPage(worstRun())
    expect(Buffer.byteLength(page)).toBeLessThan(3 * 1024 * 1024)
    expect(page).toMatch(/[\d,]+ of 64,000 operations are drawn/)
    expect(page).toContain('9,980 anomalies more in results.json')
  })
})

/** Points all over every picture, long values, thousands of everything. */
function worstRun(): RunResult {
  const random = seeded(3)
  const history: Event[] = []
  const operations = 80_000
  const processes = 100
  const long = NASTY.repeat(20)
  for (let i = 0; i < operations / processes; i++) {
    for (let p = 0; p < processes; p++) {
      history.push({
        index: history.length,
        time: i * 1e9 + p,
        process: p,
        type: 'invoke',
        f: `operation-${p % 10}`,
        value: long,
      })
    }
    for (let p = 0; p < processes; p++) {
      const type = random.pick(['ok', 'fail', 'info'] as const)
      const time = i * 1e9 + 10 ** random.between(3, 8) * (1 + 9 * random.next()) * ((p + 1) / processes)
      history.push({
        index: history.length,
        time,
        process: p,
        type,
        f: `operation-${p % 10}`,
        value: long,
        error: `${long} ${random.pick('abcdefghijklmnopqrst'.split(''))}`,
      })
    }
  }
  const faults = Array.from(
    { length: 3000 },
    (_, i): FaultWindow => ({
      number: i,
      nemesis: `nemesis-${i % 12}`,
      name: long,
      from: i * 5e8,
      to: i * 5e8 + 4e8,
      what: long,
      done: { kills: i },
    }),
  )
  const anomalies = Array.from({ length: 10_000 }, (_, i) => ({
    type: 'lost',
    message: long,
    events: Array.from({ length: 50 }, (_, j) => (i * 31 + j * 577) % history.length),
  }))
  const watch = Array.from({ length: 8000 }, (_, i) => ({
    time: i * 2e8,
    leader: `n${i % 3}`,
    term: i,
    ready: i % 2 === 0 ? ['n1'] : ['n1', 'n2', 'n3'],
  }))
  const run = syntheticRun()
  const verdict = { ...run.verdict, anomalies, reasons: anomalies.map(({ message }) => message) }
  return { ...run, history, faults, watch, verdict, settings: { ...run.settings, concurrency: processes } }
}
