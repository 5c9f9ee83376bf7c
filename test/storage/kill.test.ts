import { spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { systemClock } from '../../node/clock.ts'
import { Checkpoints } from '../../node/storage/checkpoints.ts'
import { LevelStore } from '../../node/storage/level-store.ts'
import { nodeFiles } from '../../node/storage/node-files.ts'
import { Wal } from '../../node/storage/wal.ts'
import { checkpointUntilKilled, writtenChunk, writtenChunks } from './support/killed-checkpointer.ts'
import { appendUntilKilled, segmentBytes, writtenData } from './support/killed-writer.ts'
import { group, identity, readWhole } from './support/world.ts'

const appender = writerIn('./support/killed-writer.ts', appendUntilKilled)
const checkpointer = writerIn('./support/killed-checkpointer.ts', checkpointUntilKilled)

/** A script that runs an exported function of a file on the directory in its first argument. */
function writerIn(file: string, run: (directory: string) => Promise<void>): string {
  return `import('${new URL(file, import.meta.url).href}').then((module) => module.${run.name}(process.argv[1]))`
}

/** Runs the writer until it has told `lines` indices, kills it, and returns the highest one. */
async function writeAndKill(script: string, directory: string, lines: number): Promise<number> {
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
  let doubts = 0
  try {
    for (let round = 0; round < 3; round++) {
      const resolved = await writeAndKill(appender, directory, 200 + round * 37)
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
      // The page cache survives: only a kill in the very copying of a batch tears it, and nothing is ever damaged.
      expect(wal.report.damages).toEqual([])
      if (wal.report.forgets) doubts++
      const found = await readWhole(log, lastIndex)
      expect(found.map(({ data }) => data)).toEqual(found.map((_, i) => writtenData(i + 1).toString()))
      await wal.close()
    }
    expect(doubts).toBeLessThanOrEqual(1)
  } finally {
    await rm(folder, { recursive: true })
  }
})

test('a process that is killed again and again leaves a whole checkpoint, none older than the last that it saw in force', {
  timeout: 120_000,
}, async () => {
  const folder = await mkdtemp(join(tmpdir(), 'meshmq-kill-'))
  const directory = join(folder, 'store')
  try {
    for (let round = 0; round < 4; round++) {
      const told = await writeAndKill(checkpointer, directory, 8 + round * 5)
      const store = await LevelStore.open({ files: nodeFiles, directory })
      const checkpoints = await Checkpoints.open(store)
      expect(checkpoints.damaged).toBe(false)
      const index = checkpoints.current?.mark.index as number
      expect(index).toBeGreaterThanOrEqual(told)
      expect(checkpoints.current?.chunks).toBe(writtenChunks(index))
      for (let n = 0; n < writtenChunks(index); n++) {
        const chunk = (await checkpoints.readChunk(index, n)) as Uint8Array
        expect(writtenChunk(index, n).equals(chunk)).toBe(true)
      }
      expect(await store.keys('chunk/')).toHaveLength(writtenChunks(index))
      await store.close()
    }
  } finally {
    await rm(folder, { recursive: true })
  }
})
