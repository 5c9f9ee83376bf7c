/**
 * Judges requests and replies.
 *
 * - `crossed`: a request got the reply to another one.
 * - `forged`: it got a reply that nobody gave to it.
 * - `corrupt`: its body, or that of its reply, was another one than was sent.
 * - `unheard`: nobody was said to respond to a topic, though a process did that had subscribed before and was connected all the time. Told by
 *   drains alone: requests are volatile, and while something is broken nobody is promised that his responder can be reached.
 * - `served twice`: it was handed to responders more than once.
 * - `denied`: it was said to have reached nobody, and was served.
 * - `miscoded`: a request to a topic without responders failed as if there were some, or for a reason that is none.
 */
import type { Event, Json } from '../history.ts'
import type { Anomaly, CheckResult } from '../workload.ts'
import { groupBy } from './deliveries.ts'
import { countOf, type Done, eventsOf, fields, isDrained, operationsOf, resultOf, timeOf } from './operations.ts'

/** A topic without responders, for the whole run. */
export const NOBODY = 'rr.nobody'

/** How a request may fail to a topic without responders: so, or before anybody had looked for one. */
const NOBODY_CODES = ['NoResponders', 'Connection', 'NoQuorum', 'Overloaded', 'Draining']

interface Request {
  readonly id: Json
  readonly topic: string
  readonly operation: Done
  /** `unknown` also when the operation never ended. */
  readonly as: 'replied' | 'thrown' | 'refused' | 'unknown'
  /** What the responder's handler returned or threw; undefined when no handler did. */
  readonly reply: Json | undefined
  readonly error: string
  /** Its reply is not the one that was sent. */
  readonly corrupt: boolean
  readonly served: readonly Event[]
}

export function checkRequestReply(
  history: readonly Event[],
  { concurrency }: { readonly concurrency: number },
): CheckResult {
  const operations = operationsOf(history)
  const serves = history.filter(({ process, f }) => typeof process === 'string' && f === 'serve')
  const byId = groupBy(serves, ({ value }) => fields(value).id ?? null)
  const requests = operations.filter(({ f }) => f === 'request').flatMap((each) => requestsOf(each, byId))
  const anomalies = [...requests.flatMap(judge), ...strangers(requests, byId), ...operations.flatMap(unheard)]
  const are = (as: string) => requests.filter((each) => each.as === as)
  const late = are('unknown').filter(({ served }) => served.length > 0)
  const counts = {
    ...countOf(operations, 'request'),
    replied: are('replied').length,
    thrown: are('thrown').length,
    refused: are('refused').length,
    noResponders: are('refused').filter((each) => codeOf(each) === 'NoResponders').length,
    unknown: are('unknown').length,
    servedAndUnknown: late.length,
  }
  return resultOf(anomalies, counts, isDrained(operations, concurrency))
}

function requestsOf(operation: Done, byId: ReadonlyMap<Json, readonly Event[]>): Request[] {
  const { invoke, end } = operation
  const told = fields(end?.value ?? null).requests
  const asked = fields(invoke.value).requests as readonly Json[]
  return asked.map((each, i) => {
    const { id = null, topic } = fields(each)
    // A worker that was killed leaves the invocation's own value, or none.
    const { as = 'unknown', reply, error = '', corrupt } = fields(Array.isArray(told) ? told[i] : null)
    return {
      id,
      topic: String(topic),
      operation,
      as: as as Request['as'],
      reply,
      error: String(error),
      corrupt: corrupt === true,
      served: byId.get(id) ?? [],
    }
  })
}

/** Errors are told as `Code: text`. */
function codeOf({ error }: Request): string {
  return error.slice(0, error.indexOf(':'))
}

function judge(request: Request): Anomaly[] {
  const { id, topic, as, served, error, corrupt } = request
  const anomalies: Anomaly[] = []
  const tell = (type: string, what: string) => {
    const events = [...eventsOf(request.operation), ...served.map(({ index }) => index)].sort((a, b) => a - b)
    anomalies.push({ type, message: `request ${id} to ${topic} ${what}`, events })
  }
  if (served.length > 1) tell('served twice', `was served ${served.length} times`)
  const astray = served.find(({ value }) => fields(value).topic !== topic)
  if (astray !== undefined) tell('crossed', `was served as one to ${fields(astray.value).topic}`)
  if (served.some(({ value }) => fields(value).corrupt === true)) tell('corrupt', 'was served with another body')
  if (corrupt) tell('corrupt', 'got a reply with another body than was given')
  if (as === 'refused' && served.length > 0) tell('denied', `failed with '${error}' and was served`)
  const isMiscoded = as === 'thrown' || (as === 'refused' && !NOBODY_CODES.includes(codeOf(request)))
  if (topic === NOBODY && isMiscoded) tell('miscoded', `failed with '${error}'`)
  const problem = replyProblem(request)
  if (problem !== undefined) tell(...problem)
  return anomalies
}

function replyProblem({ id, as, reply, operation, served }: Request): [type: string, what: string] | undefined {
  // An error that no handler gave: the responder was closed when the request came.
  if (as !== 'replied' && (as !== 'thrown' || reply === undefined)) return undefined
  const { id: of, token } = fields(reply ?? null)
  const text = JSON.stringify(reply)
  if (of !== id) return ['crossed', `got the reply ${text}`]
  const end = operation.end!.time
  const isGenuine = served.some((event) => fields(event.value).token === token && timeOf(event) < end)
  return isGenuine ? undefined : ['forged', `got the reply ${text}, which nobody gave before`]
}

/** A drain tells only what it is certain of. */
function unheard(operation: Done): Anomaly[] {
  const { f, type, end, process } = operation
  const told = f === 'drain' && type === 'ok' ? fields(end!.value).unheard : undefined
  if (!Array.isArray(told) || told.length === 0) return []
  const message = `process ${process} responded, and yet requests to it were told '${told[0]}' (${told.length} times), after all was healed`
  return [{ type: 'unheard', message, events: eventsOf(operation) }]
}

/** `forged`: what was served and never asked. */
function strangers(requests: readonly Request[], byId: ReadonlyMap<Json, readonly Event[]>): Anomaly[] {
  const asked = new Set(requests.map(({ id }) => id))
  return [...byId]
    .filter(([id]) => !asked.has(id))
    .map(([id, served]) => ({
      type: 'forged',
      message: `request ${JSON.stringify(id)} was served and never made`,
      events: served.map(({ index }) => index),
    }))
}
