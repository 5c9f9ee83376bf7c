/**
 * A failure in words: its code, and its message with what lies behind it. A disk that is full says so only at the end of the chain of causes.
 *
 * Never: stacks. Those are for whoever sets MESHMQ_DEBUG (main.ts).
 */
import { MeshError } from '../../wire/errors.ts'

/** Longer chains are none that a person reads; a chain may also be a circle. */
const CAUSES_MAX = 5

/** A code of the registry, of the operating system (ENOENT), or, for what should not happen, the error's name. */
export function codeOf(error: unknown): string {
  if (error instanceof MeshError) return error.code
  if (!(error instanceof Error)) return 'Error'
  return systemCodeOf(error) ?? error.name
}

/** The message, and those of the causes that it does not quote already. */
export function explain(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  // Messages of the operating system begin with the code, which is told before them anyway.
  let told = withoutPrefix(error.message, `${codeOf(error)}: `)
  let cause = error.cause
  for (let depth = 0; cause !== undefined && depth < CAUSES_MAX; depth++) {
    const words = cause instanceof Error ? cause.message || (systemCodeOf(cause) ?? cause.name) : String(cause)
    if (!told.includes(words)) told += `: because ${words}`
    cause = cause instanceof Error ? cause.cause : undefined
  }
  return told
}

function systemCodeOf(error: Error): string | undefined {
  return 'code' in error && typeof error.code === 'string' ? error.code : undefined
}

function withoutPrefix(text: string, prefix: string): string {
  return text.startsWith(prefix) ? text.slice(prefix.length) : text
}
