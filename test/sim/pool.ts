/**
 * Runs many seeds in processes of their own, one per core, and hands every result on as it comes.
 *
 * Never: trusts a worker that goes silent. One that dies or hangs is a failure of the seeds it had.
 */
import { type ChildProcess, fork } from 'node:child_process'
import path from 'node:path'
import type { Answer, Assignment } from './serve.ts'

export interface PoolOptions<R> {
  readonly firstSeed: number
  readonly seeds: number
  readonly workers: number
  /** Root of the sources to run; another tree than this one holds planted breaks. */
  readonly root: string
  /** The file in it that serves seeds. */
  readonly worker: string
  /** Called for each result, in no order; false ends the whole. */
  readonly onResult: (result: R) => boolean
}

/** Seeds handed out at once: enough to hide the round trip, few enough that no worker idles at the end. */
const seedsAtOnce = 10
/** A run takes a tenth of a second; whoever says nothing for so long is caught in a loop. */
const silenceMsMax = 60_000

/** Resolves when all seeds have run, or when `onResult` has had enough. Rejects when a worker dies or hangs. */
export function runPool<R>(options: PoolOptions<R>): Promise<void> {
  const { firstSeed, seeds, workers } = options
  let next = firstSeed
  const end = firstSeed + seeds
  const take = (): Assignment | undefined => {
    if (next >= end) return undefined
    const assignment = { firstSeed: next, seeds: Math.min(seedsAtOnce, end - next) }
    next += assignment.seeds
    return assignment
  }
  const stop = () => {
    next = end
  }
  return Promise.all(Array.from({ length: workers }, () => runWorker(options, take, stop))).then(() => {})
}

function runWorker<R>(options: PoolOptions<R>, take: () => Assignment | undefined, stop: () => void): Promise<void> {
  const { root, worker, onResult } = options
  const child = fork(path.join(root, worker), { cwd: root, execArgv: ['--import', 'tsx'] })
  return new Promise<void>((resolve, reject) => {
    let assignment: Assignment | undefined
    let alarm: NodeJS.Timeout | undefined
    const end = (action: () => void) => {
      clearTimeout(alarm)
      dismiss(child)
      action()
    }
    const fail = (what: string) => {
      stop()
      const from = assignment?.firstSeed ?? 0
      end(() =>
        reject(new Error(`a worker ${what} while running seeds ${from} to ${from + (assignment?.seeds ?? 0) - 1}`)),
      )
    }
    const watch = () => {
      clearTimeout(alarm)
      alarm = setTimeout(() => fail(`said nothing for ${silenceMsMax} ms`), silenceMsMax)
    }
    const assign = () => {
      assignment = take()
      if (assignment === undefined) end(resolve)
      else child.send(assignment)
    }
    child.on('message', (answer: Answer<R>) => {
      watch()
      if ('done' in answer) assign()
      else if (!onResult(answer.result)) {
        stop()
        end(resolve)
      }
    })
    child.on('error', (error) => fail(`failed (${error.message})`))
    child.on('exit', (code, signal) => fail(`ended with ${signal ?? code}`))
    watch()
    assign()
  })
}

function dismiss(child: ChildProcess): void {
  child.removeAllListeners()
  child.kill()
}
