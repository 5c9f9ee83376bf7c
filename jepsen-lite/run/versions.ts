/** Which build a run was of, so that its folder still says so when the checkout has moved on. */
import { execFile } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import process from 'node:process'
import { promisify } from 'node:util'
import type { Versions } from './result.ts'

const run = promisify(execFile)

export async function versionsOf(bin: string): Promise<Versions> {
  const { stdout } = await run(process.execPath, [bin, '--version'])
  return {
    meshmq: stdout.trim(),
    node: process.version,
    commit: await commitOf(path.dirname(bin)),
    platform: `${process.platform} ${process.arch}`,
  }
}

/** Undefined outside of a checkout, and where there is no git. */
async function commitOf(directory: string): Promise<string | undefined> {
  try {
    const { stdout } = await run('git', ['describe', '--always', '--abbrev=40', '--exclude=*', '--dirty'], {
      cwd: directory,
    })
    return stdout.trim()
  } catch {
    return undefined
  }
}

/** The program of the package that this file lies in: its `bin`, compiled. */
export function ownBin(): string {
  for (let folder = import.meta.dirname; ; folder = path.dirname(folder)) {
    const manifest = path.join(folder, 'package.json')
    if (existsSync(manifest)) {
      const { bin } = JSON.parse(readFileSync(manifest, 'utf8')) as { bin?: Record<string, string> }
      if (bin?.meshmq !== undefined) return path.join(folder, bin.meshmq)
    }
    if (folder === path.dirname(folder)) throw new Error('jepsen-lite lies in no package with a program meshmq')
  }
}
