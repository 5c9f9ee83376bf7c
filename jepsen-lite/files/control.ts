/**
 * How the runner reaches the file shim in a live node: commands and answers over the channel that the node's process was spawned with. The
 * channel does not keep the process alive.
 */
import type { ChildProcess } from 'node:child_process'
import process from 'node:process'
import type { EndFileFault, FileFault, Totals } from '../nemesis.ts'
import type { ShimCommand } from './shim-faults.ts'

/** Apart from other messages on the channel. */
interface Question {
  readonly fileShim: number
  readonly command: ShimCommand
}

interface Answer {
  readonly fileShim: number
  readonly done: Totals
}

let lastQuestion = 0

/** For the shim to answer: it does so at once, unless its process is paused or blocked. */
const ANSWER_MS = 2_000
/** At the end of a fault its answer is waited for so long: a process that is paused goes on before. */
const END_MS = 60_000

let lastFault = 0

/** Begins a fault in that process; see FaultTarget.breakFiles. */
export async function beginFileFault(
  child: ChildProcess,
  fault: FileFault,
  endMs: number = END_MS,
): Promise<EndFileFault> {
  const id = ++lastFault
  // One that does not answer yet obeys later, in the order in which it was told.
  await sendToShim(child, { type: 'begin', id, fault }, ANSWER_MS)
  let ended: Promise<Totals | undefined> | undefined
  const end = async () => {
    const done = await sendToShim(child, { type: 'end', id }, endMs)
    if (done === false && isAlive(child)) throw new Error(`the file shim of process ${child.pid} does not answer`)
    return done || undefined
  }
  return () => {
    ended ??= end()
    return ended
  }
}

/** As far as it is known: the channel closes a moment before the end is told. */
function isAlive({ connected, exitCode, signalCode }: ChildProcess): boolean {
  return connected && exitCode === null && signalCode === null
}

/**
 * Tells the shim of that process. Resolves with what the fault that it ends has done; false: there is no channel, the process has ended,
 * or it did not answer in time (it is paused, say: then the command counts when it goes on).
 */
export function sendToShim(child: ChildProcess, command: ShimCommand, withinMs: number): Promise<Totals | false> {
  const number = ++lastQuestion
  return new Promise((resolve) => {
    const end = (result: Totals | false) => {
      clearTimeout(timer)
      child.off('message', onMessage)
      child.off('exit', onExit)
      resolve(result)
    }
    const onMessage = (message: unknown) => {
      const answer = message as Partial<Answer> | null
      if (answer?.fileShim === number && answer.done !== undefined) end(answer.done)
    }
    const onExit = () => end(false)
    const timer = setTimeout(onExit, withinMs)
    child.on('message', onMessage)
    child.on('exit', onExit)
    if (!child.connected) return end(false)
    const question: Question = { fileShim: number, command }
    // What cannot be sent goes to a process that is ending.
    child.send(question, () => {})
  })
}

/** In the node: `take` obeys and tells what was done. */
export function answerCommands(take: (command: ShimCommand) => Totals): void {
  process.on('message', (message: unknown) => {
    const question = message as Partial<Question> | null
    if (question?.fileShim === undefined || question.command === undefined) return
    const answer: Answer = { fileShim: question.fileShim, done: take(question.command) }
    // Whoever asked may be gone.
    process.send?.(answer, undefined, undefined, () => {})
  })
  process.channel?.unref()
}
