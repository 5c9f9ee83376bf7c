/** What all roles share: how they are steered, the SDK that they use, the bodies that they send. */
import type { connect } from '../../client/index.ts'

export interface RoleControl {
  /** Connected and set up: others may be started. */
  ready(): void
  readonly go: Promise<void>
  readonly stop: Promise<void>
}

/** The time before anything is counted: code gets compiled, connections get up to speed. */
export const WARM_UP_MS = 1_500

/** The built SDK. The sources under tsx would not do: its name-keeping costs time for every closure. */
export async function loadSdk(): Promise<{ connect: typeof connect }> {
  const built = new URL('../../dist/client/index.js', import.meta.url)
  return (await import(built.href)) as { connect: typeof connect }
}

/** Bodies of `size` bytes, each its own buffer, that begin with a number. */
export function bodyMaker(size: number): (id: number) => Buffer {
  const template = Buffer.alloc(size)
  for (let i = 0; i < size; i++) template[i] = (i * 7919 + 13) & 255
  return (id) => {
    const body = Buffer.allocUnsafe(size)
    template.copy(body)
    body.writeUInt32LE(id, 0)
    return body
  }
}

/** The number that a body begins with. */
export function bodyId(body: unknown): number {
  const bytes = body as Uint8Array
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(0, true)
}

/** CPU seconds of this process since `start`. */
export function cpuSince(start: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(start)
  return (user + system) / 1e6
}
