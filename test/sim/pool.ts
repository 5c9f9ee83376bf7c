/**
 * Runs many seeds in processes of their own, one per core, and hands every result on as it comes.
 *
 * Never: trusts a worker that goes silent. One that dies or hangs is a failure of the seeds it had.
 */
import { type ChildProcess, fork } from 'node:child_process'
import type { Answer, Assignment } from './serve.ts'

export interface PoolOptions<R> {
  readonly seeds: Iterator<number>
  readonly workers: number
  /** A bundle that serves seeds (bundle.ts). */
  readonly file: string
  /** Called for each result, in no order; false ends the whole. */
  readonly onResult: (result: R) => boolean
}

/** Seeds handed out at once: enough to hide the round trip, few enough that no worker idles at the end. */
const seedsAtOnce = 10
/** A run takes a tenth of a second, on a busy machine some seconds; whoever says nothing for so long is caught in a loop. */
const silenceMsMax = 180_000

/** Resolves when all seeds have run, or when `onResult` has had enough. Rejects when a worker dies or hangs. */
export function runPool<R>(options: PoolOptions<R>): Promise<void> {
  const { seeds, workers } = options
  let isOver = false
  const take = (): Assignment => {
    const assignment: number[] = []
    while (!isOver && assignment.length < seedsAtOnce) {
      const { value, done } = seeds.next()
      if (done === true) isOver = true
      else assignment.push(value)
    }
    return assignment
  }
  const stop = () => {
    isOver = true
  }
  return Promise.all(Array.from({ length: workers }, () => runWorker(options, take, stop))).then(() => {})
}

function runWorker<R>(options: PoolOptions<R>, take: () => Assignment, stop: () => void): Promise<void> {
  const { file, onResult } = options
  const child = fork(file, { execArgv: ['--enable-source-maps'] })
  return new Promise<void>((resolve, reject) => {
    let assignment: Assignment = []
    let alarm: NodeJS.Timeout | undefined
    const end = (action: () => void) => {
      clearTimeout(alarm)
      dismiss(child)
      action()
    }
    const fail = (what: string) => {
      stop()
      end(() => reject(new Error(`a worker ${what} while running one of the seeds ${assignment.join(' ')}`)))
    }
    const watch = () => {
      clearTimeout(alarm)
      alarm = setTimeout(() => fail(`said nothing for ${silenceMsMax} ms`), silenceMsMax)
    }
    const assign = () => {
      assignment = take()
      if (assignment.length === 0) end(resolve)
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
