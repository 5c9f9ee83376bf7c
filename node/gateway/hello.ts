/**
 * What a client may say first, checked whole before anything is done with it.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import { z } from 'zod'
import { MeshError } from '../../wire/errors.ts'
import { FrameKind, PROTOCOL_VERSION } from '../../wire/frame.ts'
import { limits } from '../../wire/limits.ts'
import { decodeSessionFrame, type Hello } from '../../wire/session-frames.ts'

const id = z.int().nonnegative()
const run = z.tuple([id, z.int().positive()])

const hello = z.object({
  version: z.literal(PROTOCOL_VERSION),
  name: z.string().max(limits.nameBytesMax).optional(),
  token: z.string().max(1024).optional(),
  session: id.optional(),
  connection: id,
  held: z
    .array(z.object({ consumer: id, runs: z.array(run).max(limits.prefetchMax) }))
    .max(limits.consumersPerSessionMax)
    .optional(),
})

/** The hello, or MeshError: Protocol, UnsupportedVersion or Unauthorized. */
export function readHello(frame: Uint8Array, tokens: readonly string[]): Hello {
  if (frame[0] !== FrameKind.hello) throw new MeshError('Protocol', 'the first frame must be hello')
  let said: unknown
  try {
    said = decodeSessionFrame(frame)
  } catch (error) {
    throw new MeshError('Protocol', 'hello is not MessagePack', { cause: error })
  }
  const version = (said as { version?: unknown } | null)?.version
  if (typeof version === 'number' && version !== PROTOCOL_VERSION) {
    throw new MeshError('UnsupportedVersion', `version ${version} is not ${PROTOCOL_VERSION}, the one spoken here`)
  }
  const parsed = hello.safeParse(said)
  if (!parsed.success) throw new MeshError('Protocol', `hello: ${z.prettifyError(parsed.error)}`)
  if (tokens.length > 0 && !tokens.some((token) => equal(token, parsed.data.token ?? ''))) {
    throw new MeshError('Unauthorized', 'the token is not accepted')
  }
  return parsed.data as Hello
}

/** In time that does not depend on where they differ. */
function equal(a: string, b: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(a), digest(b))
}
