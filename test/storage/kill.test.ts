import { spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { systemClock } from '../../node/clock.ts'
import { nodeFiles } from '../../node/storage/node-files.ts'
import { Wal } from '../../node/storage/wal.ts'
import { appendUntilKilled, segmentBytes, writtenData } from './support/killed-writer.ts'
import { group, identity, readWhole } from './support/world.ts'

const writer = new URL('./support/killed-writer.ts', import.meta.url).href

/** Runs the writer until it has told `lines` indices, kills it, and returns the highest one. */
async function writeAndKill(directory: string, lines: number): Promise<number> {
  const script = `import('${writer}').then((module) => module.${appendUntilKilled.name}(process.argv[1]))`
  const child = spawn(process.execPath, ['--import', 'tsx', '--eval', script, directory], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let output = ''
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk.toString()
    if (output.split('\n').length > lines) child.kill('SIGKILL')
  })
  const signal = await new Promise((resolve) => child.on('close', (_, by) => resolve(by)))
  expect(signal).toBe('SIGKILL')
  return Math.max(...output.split('\n').map(Number))
}

test('a process that is killed again and again loses no append that it saw resolved', {
  timeout: 120_000,
}, async () => {
  const folder = await mkdtemp(join(tmpdir(), 'meshmq-kill-'))
  const directory = join(folder, 'wal')
  try {
    for (let round = 0; round < 3; round++) {
      const resolved = await writeAndKill(directory, 200 + round * 37)
      const wal = await Wal.open({
        files: nodeFiles,
        directory,
        identity,
        clock: systemClock,
        segmentBytes,
        mustExist: true,
      })
      const log = wal.group(group)
      const { lastIndex } = log.recovered()
      expect(lastIndex).toBeGreaterThanOrEqual(resolved)
      const found = await readWhole(log, lastIndex)
      expect(found.map(({ data }) => data)).toEqual(found.map((_, i) => writtenData(i + 1).toString()))
      await wal.close()
    }
  } finally {
    await rm(folder, { recursive: true })
  }
})
