/**
 * How the runner reaches the file shim in a live node: commands and answers over the channel that the node's process was spawned with. The
 * channel does not keep the process alive.
 */
import type { ChildProcess } from 'node:child_process'
import process from 'node:process'
import type { ShimCommand, Totals } from '../nemesis.ts'

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

/**
 * Tells the shim of that process. Resolves with what it has done since the last command; false: there is no channel, the process has ended,
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
    child.send(question, (error) => {
      if (error) end(false)
    })
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
