/**
 * What a client may say first, checked whole before anything is done with it.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import { z } from 'zod'
import { MeshError } from '../../wire/errors.ts'
import { FrameKind, PROTOCOL_VERSION } from '../../wire/frame.ts'
import { limits } from '../../wire/limits.ts'
import { decodeSessionFrame, type HeldDeliveries, type Hello } from '../../wire/session-frames.ts'

/** Runs of held deliveries in one hello, over all consumers. */
const HELD_RUNS_MAX = 65_536

const hello = z.object({
  name: z.string().max(limits.nameBytesMax).optional(),
  session: z.int().nonnegative().optional(),
  connection: z.int().nonnegative(),
})

/**
 * The hello, or MeshError: Protocol, UnsupportedVersion or Unauthorized. Nothing long is looked at before the token, and the first
 * problem ends it: whoever knocks can make the node work no harder than it worked to send.
 */
export function readHello(frame: Uint8Array, tokens: readonly string[]): Hello {
  if (frame[0] !== FrameKind.hello) throw new MeshError('Protocol', 'the first frame must be hello')
  const said = decodeMap(frame)
  if (said.version !== PROTOCOL_VERSION) {
    if (typeof said.version !== 'number') throw new MeshError('Protocol', 'hello without a version')
    throw new MeshError('UnsupportedVersion', `version ${said.version} is not ${PROTOCOL_VERSION}, the one spoken here`)
  }
  const token = typeof said.token === 'string' ? said.token : ''
  if (tokens.length > 0 && !tokens.some((known) => equal(known, token))) {
    throw new MeshError('Unauthorized', 'the token is not accepted')
  }
  const parsed = hello.safeParse(said)
  const issue = parsed.error?.issues[0]
  if (issue !== undefined) throw new MeshError('Protocol', `hello: ${issue.path.join('.')}: ${issue.message}`)
  return { version: PROTOCOL_VERSION, ...parsed.data, held: readHeld(said.held) } as Hello
}

function decodeMap(frame: Uint8Array): Record<string, unknown> {
  let said: unknown
  try {
    said = decodeSessionFrame(frame)
  } catch (error) {
    throw new MeshError('Protocol', 'hello is not MessagePack', { cause: error })
  }
  if (typeof said !== 'object' || said === null) throw new MeshError('Protocol', 'hello is no map')
  return said as Record<string, unknown>
}

/** By hand, because it may be long. */
function readHeld(value: unknown): HeldDeliveries[] {
  if (value === undefined) return []
  if (!Array.isArray(value) || value.length > limits.consumersPerSessionMax) throw heldProblem()
  let runs = 0
  for (const item of value as readonly Partial<HeldDeliveries>[]) {
    if (typeof item !== 'object' || item === null || !isId(item.consumer) || !Array.isArray(item.runs)) {
      throw heldProblem()
    }
    runs += item.runs.length
    if (runs > HELD_RUNS_MAX || !item.runs.every(isRun)) throw heldProblem()
  }
  return value as HeldDeliveries[]
}

function heldProblem(): MeshError {
  return new MeshError('Protocol', 'hello: the held deliveries make no sense or are too many')
}

function isRun(run: unknown): boolean {
  return Array.isArray(run) && run.length === 2 && isId(run[0]) && isId(run[1]) && run[1] > 0
}

function isId(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

/** In time that does not depend on where they differ. */
function equal(a: string, b: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(a), digest(b))
}
