import { describe, expect, it } from 'vitest'
import { checkArrows, checkCycles } from './arrows.ts'
import { checkPaths, checkTable } from './documents.ts'
import { checkPurity } from './purity.ts'
import {
  checkDeadExports,
  checkDeadFiles,
  checkDefaultExports,
  checkDice,
  checkHeaders,
  checkPromises,
  checkSizes,
  checkTrapNumbers,
} from './shape.ts'
import { sourcesOf } from './sources.ts'

/** A tree that breaks no arrow, to which each test adds one file that does. */
const clean = {
  'raft/index.ts': "export { a } from './log.ts'",
  'raft/log.ts': 'export const a = 1',
  'wire/msgpack.ts': "import { Packr } from 'msgpackr'",
  'wire/frame.ts': "export * from './msgpack.ts'",
  'node/queue/index.ts': "export * from './machine.ts'",
  'node/queue/machine.ts': "import '../../wire/frame.ts'",
  'client/index.ts': "import '../wire/frame.ts'\nimport { nanoid } from 'nanoid'",
  'client/ws-socket.ts': "import { WebSocket } from 'ws'",
}

describe('the check of the arrows', () => {
  it('accepts a tree that follows them', () => {
    expect(checkArrows(sourcesOf(clean))).toEqual([])
  })

  it.each([
    ['raft/x.ts', "import '../wire/frame.ts'", 'raft may not import wire'],
    ['raft/x.ts', "import { readFileSync } from 'node:fs'", 'node is not for this file'],
    ['raft/x.ts', "import ws from 'ws'", 'ws is not for this file'],
    ['wire/x.ts', "import { unpack } from 'msgpackr'", 'msgpackr is not for this file'],
    ['wire/x.ts', "import type { Entry } from '../raft/index.ts'", 'wire may not import raft'],
    ['node/queue/x.ts', "import '../../raft/index.ts'", 'queue may not import raft'],
    ['node/queue/x.ts', "import 'level'", 'level is not for this file'],
    ['client/x.ts', "export * from '../node/queue/index.ts'", 'client may not import queue'],
    ['client/x.ts', "import { WebSocket } from 'ws'", 'ws is not for this file'],
    ['client/x.ts', "const later = await import('../raft/index.ts')", 'client may not import raft'],
    ['client/x.ts', "type A = import('../raft/index.ts').a", 'client may not import raft'],
    ['wire/x.ts', "import './gone.ts'", 'no such file'],
    ['node/gateway/x.ts', "import '../queue/machine.ts'", 'the only door of queue is node/queue/index.ts'],
    ['node/gateway/x.ts', "import '../server.ts'", 'gateway may not import server'],
    ['node/cli/x.ts', "import '../server.ts'", 'the only door of server is node/index.ts'],
    ['node/server.ts', "import './cli/main.ts'", 'server may not import cli'],
    ['node/router.ts', "import { WebSocket } from 'ws'", 'ws is not for this file'],
  ])('refuses %s with %s', (file, text, problem) => {
    expect(checkArrows(sourcesOf({ ...clean, [file]: text })).join('\n')).toContain(problem)
  })

  it('refuses a way around the door', () => {
    const table = [
      { name: 'raft', holds: ['raft'], may: [], door: 'raft/index.ts' },
      { name: 'node', holds: ['node'], may: ['raft'] },
    ]
    const sources = sourcesOf({
      'raft/index.ts': '',
      'raft/log.ts': '',
      'node/door.ts': "import '../raft/index.ts'",
      'node/window.ts': "import '../raft/log.ts'",
      'wire/frame.ts': "import '../raft/index.ts'",
    })
    expect(checkArrows(sources, table)).toEqual([
      'node/window.ts imports ../raft/log.ts: the only door of raft is raft/index.ts',
      'wire/frame.ts imports ../raft/index.ts: the importing file is in no area of the table',
    ])
  })

  it('sees a circle, even one of types, and tells it once', () => {
    const sources = sourcesOf({
      'wire/a.ts': "import './b.ts'",
      'wire/b.ts': "import type { C } from './c.ts'",
      'wire/c.ts': "export { a } from './b.ts'",
    })
    expect(checkCycles(sources)).toEqual(['an import cycle: wire/b.ts → wire/c.ts → wire/b.ts'])
  })
})

describe('the check of purity', () => {
  it.each([
    ['const now = Date.now()', 'Date'],
    ['const now = new Date()', 'Date'],
    ['export const roll = () => Math.random()', 'Math.random'],
    ['const { random } = Math', 'Math.random'],
    ["const roll = Math['random']", 'Math.random'],
    ['const at = performance.now()', 'performance'],
    ['const debug = process.env.DEBUG', 'process'],
    ['setTimeout(() => {}, 1)', 'setTimeout'],
    ['const later = setImmediate', 'setImmediate'],
    ['queueMicrotask(() => {})', 'queueMicrotask'],
    ['const page = fetch', 'fetch'],
    ['export async function f() {}', 'async'],
    ['const f = async () => 1', 'async'],
    ['await null', 'await'],
    ['for await (const x of []) x', 'await'],
    ['const p = Promise.resolve()', 'Promise'],
    ['let p: Promise<void>', 'Promise'],
    ["const fs = import('node:fs')", 'import()'],
    ['const here = import.meta.url', 'import.meta'],
    ["['a', 'b'].sort((a, b) => a.localeCompare(b))", 'localeCompare'],
    ["const format = new Intl.NumberFormat('en')", 'Intl'],
    ['const all = { Date }', 'Date'],
    ['const world = globalThis', 'globalThis'],
  ])('refuses %s', (text, what) => {
    expect(checkPurity(sourcesOf({ 'node/queue/x.ts': text })).join('\n')).toMatch(
      new RegExp(`has ${what.replace(/[()]/g, '\\$&')}(\n|$)`),
    )
  })

  it('lets comments, strings, members and ports speak of them, and the driver wait', () => {
    const text =
      "/** No Date, no Promise. */\nconst a = 'Date.now()'\nconst b = { process: 1, Date: 2 }\nb.process = b.Date\nconst c = Math.floor(a.random())"
    expect(checkPurity(sourcesOf({ 'wire/x.ts': text }))).toEqual([])
    expect(checkPurity(sourcesOf({ 'raft/ports.ts': 'export type P = () => Promise<void>' }))).toEqual([])
    expect(checkPurity(sourcesOf({ 'raft/driver.ts': 'export async function f() { await 1 }' }))).toEqual([])
    expect(checkPurity(sourcesOf({ 'node/gateway/x.ts': 'export const now = Date.now' }))).toEqual([])
  })

  it('does not let a port do what it describes', () => {
    expect(checkPurity(sourcesOf({ 'raft/ports.ts': 'export const p = Promise.resolve()' }))).toHaveLength(1)
  })
})

describe('the checks of shape', () => {
  it('refuse a file of 401 lines, a test of 801 and a function of 61', () => {
    expect(checkSizes(sourcesOf({ 'bench/x.ts': 'x\n'.repeat(400), 'test/x.ts': 'x\n'.repeat(800) }))).toEqual([])
    expect(checkSizes(sourcesOf({ 'bench/x.ts': 'x\n'.repeat(401), 'test/x.ts': 'x\n'.repeat(801) }))).toHaveLength(2)
    const body = (lines: number) => `function f() {\n${'f()\n'.repeat(lines - 2)}}\n`
    expect(checkSizes(sourcesOf({ 'wire/x.ts': body(60) }))).toEqual([])
    expect(checkSizes(sourcesOf({ 'wire/x.ts': body(61) }))).toHaveLength(1)
  })

  it('want a header comment, behind a shebang if there is one', () => {
    expect(checkHeaders(sourcesOf({ 'wire/x.ts': '/** What it is. */\n' }))).toEqual([])
    expect(checkHeaders(sourcesOf({ 'node/cli/main.ts': '#!/usr/bin/env node\n/** What it is. */\n' }))).toEqual([])
    expect(checkHeaders(sourcesOf({ 'wire/x.ts': 'export const a = 1\n/** Late. */\n' }))).toHaveLength(1)
  })

  it('refuse a promise to do it later', () => {
    expect(checkPromises(sourcesOf({ 'wire/x.ts': '// TODO: later\n' }))).toEqual(['wire/x.ts says TODO'])
  })

  it.each(['export default 1', 'export default function f() {}', 'export default class A {}'])('refuse %s', (text) => {
    expect(checkDefaultExports(sourcesOf({ 'wire/x.ts': text }))).toHaveLength(1)
  })

  it('refuse properties whose seed is not the fixed one', () => {
    const text = "import fc from 'fast-check'"
    expect(checkDice(sourcesOf({ 'test/support/property.ts': text, 'test/raft/x.test.ts': text }))).toHaveLength(1)
  })

  it('refuse a trap that is not on the list', () => {
    const text = '// trap 3, traps 7 and 49, traps 12, 50, trap 0'
    expect(checkTrapNumbers(sourcesOf({ 'wire/x.ts': text }), 49)).toEqual([
      'wire/x.ts cites trap 50',
      'wire/x.ts cites trap 0',
    ])
  })

  it('find files that nothing leads to; a test does not keep a product file alive', () => {
    const sources = sourcesOf({
      'client/index.ts': "import './used.ts'",
      'client/used.ts': '',
      'client/orphan.ts': '',
      'test/a.test.ts': "import '../client/orphan.ts'\nimport './support/a.ts'",
      'test/support/a.ts': '',
      'test/support/b.ts': '',
      'bench/main.ts': "import './w1.ts'",
      'bench/w1.ts': '',
    })
    expect(checkDeadFiles(sources, ['client/index.ts'], ['bench/main.ts'])).toEqual([
      'client/orphan.ts is not reachable from a door of the package',
      'test/support/b.ts is not reachable from any test or main',
    ])
  })

  it('find functions, classes and constants that nobody takes', () => {
    const sources = sourcesOf({
      'client/index.ts': "export { a } from './a.ts'",
      'client/a.ts':
        'export const a = 1, b = 2\nexport function c() {}\nexport interface D {}\nexport type E = 1\nexport class F {}',
      'raft/index.ts': "export { g } from './g.ts'\nexport type { H } from './g.ts'",
      'raft/g.ts': 'export const g = 1\nexport type H = 1',
      'test/a.test.ts': "import { c } from '../client/a.ts'",
    })
    const names = checkDeadExports(sources, ['client/index.ts']).map((problem) => problem.split(' ')[2])
    expect(names).toEqual(['b', 'F', 'g'])
  })
})

describe('the checks of documents', () => {
  const table = '| Code | Meaning |\n|---|---|\n| `A` | first |\n| `B` | second |\n'

  it('compare a table with the code, cell by cell and both ways', () => {
    expect(checkTable(table, 'Code', { A: ['first'], B: ['second'] })).toEqual([])
    expect(checkTable(table, 'Code', { A: ['first'], B: ['other'] })).toHaveLength(1)
    expect(checkTable(table, 'Code', { A: ['first'] })).toHaveLength(1)
    expect(checkTable(table, 'Code', { A: ['first'], B: ['second'], C: ['third'] })).toHaveLength(1)
    expect(checkTable(table, 'Limit', {})).toHaveLength(1)
  })

  it('find links and names of files that do not exist', () => {
    const exists = (file: string) => ['raft/log.ts', 'docs/PROTOCOL.md'].includes(file)
    const text = '[a](PROTOCOL.md#errors) [b](../raft/log.ts) `raft/log.ts` [c](https://example.com) [d](#here)'
    expect(checkPaths(text, 'docs', exists)).toEqual([])
    expect(checkPaths('[a](GONE.md)', 'docs', exists)).toHaveLength(1)
    expect(checkPaths('the file `raft/gone.ts`', '', exists)).toHaveLength(1)
  })
})
