/**
 * A node's wall clock in other hands: libfaketime, told by a file. The monotonic clock stays as it is, as on a machine whose date is set or
 * whose clock drifts against the others'.
 */
import { existsSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** Where Debian and its kin, Fedora, and builds from source put it. */
const folders = [
  ...['/usr/lib', '/usr/lib64', '/usr/local/lib', '/opt/homebrew/lib'].flatMap((base) => [
    base,
    join(base, 'faketime'),
  ]),
  ...['x86_64', 'aarch64'].map((machine) => `/usr/lib/${machine}-linux-gnu/faketime`),
]
/** The one for programs with threads. */
const LIBRARY = 'libfaketimeMT.so.1'

/** Path of the library; undefined when it is not installed. */
export function findFakeTime(): string | undefined {
  return folders.map((folder) => join(folder, LIBRARY)).find(existsSync)
}

export interface ClockSetting {
  /** Against the machine's clock, at this moment, milliseconds. */
  readonly offsetMs: number
  /** Seconds that pass there in a second. */
  readonly rate: number
  /** When the process was started, by the machine's clock: libfaketime lets the rate count from there. */
  readonly startedAt: number
}

/** What a node's process needs in its environment so that `setFakeClock(file)` sets its clock. Throws when libfaketime is not installed. */
export function fakeClockLaunch(file: string): { readonly env: Readonly<Record<string, string>> } {
  const library = findFakeTime()
  if (library === undefined) throw new Error('libfaketime is not installed')
  if (!existsSync(file)) writeFileSync(file, settingText(0, 1))
  return {
    env: {
      LD_PRELOAD: library,
      FAKETIME_TIMESTAMP_FILE: file,
      // Looked at once a second at most: each look is a read of the file.
      FAKETIME_CACHE_DURATION: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
      // Times of files are the disk's.
      NO_FAKE_STAT: '1',
    },
  }
}

/** Takes effect within a second. */
export function setFakeClock(file: string, { offsetMs, rate, startedAt }: ClockSetting): void {
  const passedMs = Date.now() - startedAt
  writeFileSync(`${file}.new`, settingText(offsetMs - (rate - 1) * passedMs, rate))
  renameSync(`${file}.new`, file)
}

/** Always with a rate: libfaketime goes on with the last one that it was told. */
function settingText(offsetMs: number, rate: number): string {
  const sign = offsetMs < 0 ? '-' : '+'
  return `${sign}${(Math.abs(offsetMs) / 1000).toFixed(3)} x${rate.toFixed(3)}\n`
}
