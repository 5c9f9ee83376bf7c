/** What the tests of checkpoints need: the bytes of one, a machine made from them, and a world whose machine is restored all the time. */
import { isDeepStrictEqual } from 'node:util'
import { expect } from 'vitest'
import { CheckpointReader, type Effect, Machine, type MachineCheckpoint } from '../../node/queue/index.ts'
import { World } from './world.ts'

export function bytesOf(checkpoint: MachineCheckpoint): Uint8Array[] {
  return [...checkpoint.chunks()]
}

export function restoredFrom(chunks: Iterable<Uint8Array>): Machine {
  const reader = new CheckpointReader()
  for (const chunk of chunks) reader.push(chunk)
  const machine = new Machine()
  machine.restore(reader.finish())
  return machine
}

/** As one text, so that a difference is found fast and shown short. */
export function hexOf(chunks: Iterable<Uint8Array>): string {
  return [...chunks].map((chunk) => Buffer.from(chunk).toString('hex')).join(' ')
}

/** A world with a twin that is restored from a checkpoint of its machine after each entry, and must do the same with the next one. */
export class MirroredWorld extends World {
  #twin = new Machine()

  override applyBytes(entry: Uint8Array): Effect[] {
    const effects = super.applyBytes(entry)
    const { machine } = this
    // Of an entry with thousands of effects nobody reads the difference, and finding it takes minutes.
    expect(isDeepStrictEqual(this.#twin.apply(this.entries.length, 1, entry), effects)).toBe(true)
    expect(this.#twin.stateHash()).toBe(machine.stateHash())
    expect(this.#twin.nextTimerMs()).toBe(machine.nextTimerMs())
    const chunks = bytesOf(machine.checkpoint())
    this.#twin = restoredFrom(chunks)
    expect(hexOf(bytesOf(this.#twin.checkpoint())) === hexOf(chunks)).toBe(true)
    return effects
  }
}
