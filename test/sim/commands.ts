/**
 * The commands that simulated clients propose: a number of their own each, and filling of a size that makes appends,
 * windows and segments end at odd places.
 */

const numberBytes = 4

export function encodeCommand(command: number, fillingBytes: number): Uint8Array {
  const data = new Uint8Array(numberBytes + fillingBytes)
  for (let i = 0; i < numberBytes; i++) data[i] = command >>> (8 * i)
  // Not all zeros, which is what a disk shows where nothing was written.
  data.fill(command | 1, numberBytes)
  return data
}

export function commandOf(data: Uint8Array): number {
  let command = 0
  for (let i = 0; i < numberBytes; i++) command |= (data[i] as number) << (8 * i)
  return command >>> 0
}
