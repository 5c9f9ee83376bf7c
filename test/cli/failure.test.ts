/** What a command tells of a failure: one line that ends with the reason behind the reason. */
import { mkdirSync, rmSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { codeOf, explain } from '../../node/cli/failure.ts'
import { MeshError } from '../../wire/errors.ts'
import { freePorts, realDiskFolder } from '../support/place.ts'
import { runCli } from './run-cli.ts'

describe('a failure', () => {
  it('is told with all that lies behind it, in turn', () => {
    const disk = new Error('IO error: store/LOCK: No space left on device')
    const level = new Error('Database failed to open', { cause: disk })
    const failure = new Error('the store cannot be opened', { cause: level })
    expect(explain(failure)).toBe(
      'the store cannot be opened: because Database failed to open: because IO error: store/LOCK: No space left on device',
    )
  })

  it('does not say twice what its message quotes', () => {
    const cause = new Error('Unexpected token')
    expect(explain(new MeshError('Validation', 'no JSON: Unexpected token', { cause }))).toBe(
      'no JSON: Unexpected token',
    )
  })

  it('ends, though its causes go round in a circle', () => {
    const [first, second] = [new Error('first'), new Error('second')]
    first.cause = second
    second.cause = first
    expect(explain(first)).toBe('first: because second')
  })

  it('is told where a cause is no error, or has no words', () => {
    expect(explain(new Error('it failed', { cause: 'a hunch' }))).toBe('it failed: because a hunch')
    const wordless = Object.assign(new AggregateError([]), { code: 'ECONNREFUSED' })
    expect(explain(new Error('it failed', { cause: wordless }))).toBe('it failed: because ECONNREFUSED')
    expect(explain('a string')).toBe('a string')
  })

  it('of the operating system tells its code once', () => {
    const failure = Object.assign(new Error("ENOENT: no such file, open 'x'"), { code: 'ENOENT' })
    expect([codeOf(failure), explain(failure)]).toEqual(['ENOENT', "no such file, open 'x'"])
  })
})

it('start tells why a store cannot be opened, on one line, without a stack', async () => {
  const directory = realDiskFolder()
  const [port] = await freePorts(1)
  // LevelDB cannot write its lock: an error of the disk, not of what is stored.
  mkdirSync(path.join(directory, 'n1', 'store', 'LOCK'), { recursive: true })
  const place = ['--listen', `127.0.0.1:${port}`, '--data', path.join(directory, 'n1')]
  const { code, stderr } = await runCli(['start', '--id', 'n1', ...place, '--cluster', `n1=ws://127.0.0.1:${port}`])
  rmSync(directory, { recursive: true, force: true })
  expect(code).toBe(1)
  expect(stderr).toMatch(/^meshmq: StorageFailed: the store in \S+ cannot be opened: because [^\n]*: Is a directory\n$/)
})
