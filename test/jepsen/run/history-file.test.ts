import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { HistoryFile } from '../../../jepsen-lite/run/history-file.ts'
import { Recorder } from '../../../jepsen-lite/run/recorder.ts'
import { eventually } from '../../support/eventually.ts'
import { NASTY } from '../report/synthetic.ts'

const folder = mkdtempSync(path.join(tmpdir(), 'meshmq-history-'))
const read = (file: string) => readFileSync(file, 'utf8')
const parse = (text: string) => text.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line) as unknown]))

afterAll(() => rmSync(folder, { recursive: true }))

it('a history is on disk before the run is over, and whole at its end', async () => {
  const file = path.join(folder, 'history.jsonl')
  const written = new HistoryFile(file)
  let ns = 0
  const recorder = new Recorder(
    () => ++ns,
    (event) => written.add(event),
  )
  recorder.invoke(3, { f: 'publish', value: { id: 1, text: NASTY } })
  recorder.complete(3, { type: 'info', error: 'Timeout: no answer' })
  await eventually(() => parse(read(file)).length === 2)
  for (let i = 0; i < 10_000; i++) recorder.emit('c1', 'deliver', { id: i })
  recorder.fault('kill', { step: 'begin' })
  await written.end()
  expect(parse(read(file))).toEqual(recorder.events)
})

it('a history that cannot be written is told at its end', async () => {
  const written = new HistoryFile(path.join(folder, 'nowhere', 'history.jsonl'))
  written.add({ index: 0, time: 0, process: 0, type: 'invoke', f: 'publish', value: null })
  await expect(written.end()).rejects.toThrow('ENOENT')
})
