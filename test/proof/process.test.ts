import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { freePorts, realDiskFolder } from '../support/place.ts'
import { packedBin, packMeshmq } from './packed.ts'

const folder = realDiskFolder()

beforeAll(packMeshmq, 200_000)

afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** With an IPC channel, as `meshmq dev` and process managers have one: its listener alone must not keep a node alive. */
async function runNode(...args: string[]): Promise<{ code: number | null; stderr: string }> {
  const child = spawn(process.execPath, [packedBin(), 'start', ...args], { stdio: ['ignore', 'ignore', 'pipe', 'ipc'] })
  let stderr = ''
  child.stderr!.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  const tooLate = setTimeout(() => child.kill('SIGKILL'), 20_000)
  const [code] = (await once(child, 'close')) as [number | null]
  clearTimeout(tooLate)
  return { code, stderr }
}

describe('the process of a node that cannot start', () => {
  it.each([
    [
      'for a port that is not its own',
      ['--listen', '192.0.2.1:7101', '--secret', 's', '--token', 't'],
      'EADDRNOTAVAIL',
      1,
    ],
    ['for a forbidden option', ['--listen', 'nowhere'], 'listen', 2],
    ['for an open door beyond loopback', ['--listen', '0.0.0.0:7101'], 'secret', 2],
  ])('ends, and says why in one line: %s', async (_, args, reason, exitCode) => {
    const [port] = await freePorts(1)
    const place = ['--id', 'n1', '--data', folder, '--cluster', `n1=ws://127.0.0.1:${port}`]
    const { code, stderr } = await runNode(...place, ...args)
    expect(code).toBe(exitCode)
    expect(stderr).toMatch(/^meshmq: [^\n]*\n$/)
    expect(stderr).toContain(reason)
  })
})
