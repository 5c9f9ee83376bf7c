import { expect, test } from 'vitest'
import { readBoot, writeBoot } from '../../node/storage/boot-counter.ts'
import { World } from './support/world.ts'

async function prepared(seed = 1): Promise<World> {
  const world = new World(seed)
  await world.settle(world.files.makeDirectory('/node'))
  return world
}

const read = (world: World) => world.settle(readBoot(world.files, '/node'))
const write = (world: World, bootId: number) => world.settle(writeBoot(world.files, '/node', bootId))

test('the last boot id is told, and none where there was none', async () => {
  const world = await prepared()
  expect(await read(world)).toBe(0)
  await write(world, 1_700_000_000_000)
  await write(world, 1_700_000_000_001)
  expect(await read(world)).toBe(1_700_000_000_001)
  expect(world.files.paths('/node')).toEqual(['/node/boot'])
})

test('a file that rots or is cut tells nothing, wherever', async () => {
  const world = await prepared()
  await write(world, 77)
  const whole = Uint8Array.from(world.files.contents('/node/boot'))
  for (let at = 0; at < whole.length; at++) {
    const damaged = Uint8Array.from(whole)
    damaged[at] = (damaged[at] as number) ^ 4
    world.files.setContents('/node/boot', damaged)
    expect(await read(world)).toBe(0)
    world.files.setContents('/node/boot', whole.subarray(0, at))
    expect(await read(world)).toBe(0)
  }
})

test('a crash leaves the old one or the new one, and the next write works', async () => {
  const seen = new Set<number>()
  for (let seed = 0; seed < 60; seed++) {
    const world = await prepared(seed)
    await write(world, 10)
    writeBoot(world.files, '/node', 11).catch(() => {})
    await new Promise((resolve) => process.nextTick(resolve))
    await world.pass(seed / 20)
    world.files.crash()
    seen.add(await read(world))
    await write(world, 12)
    expect(await read(world)).toBe(12)
  }
  expect([...seen].sort()).toEqual([10, 11])
})
