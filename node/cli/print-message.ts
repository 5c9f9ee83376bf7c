/** Messages as `meshmq sub` and `meshmq queue receive` print them: a line each. */
import type { Message } from '../../client/index.ts'
import { formatBody, printJson, printLine } from './output.ts'

export function printAsText({ topic, body }: Message): Promise<void> {
  return printLine(`${topic} ${formatBody(body)}`)
}

export function printAsJson(message: Message): Promise<void> {
  const { id, topic, attempt, timestamp, headers, correlationId, body } = message
  return printJson({ id, topic, attempt, timestamp, headers, correlationId, body })
}
