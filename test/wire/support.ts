/** Bytes as tests write them, and the two ways to spoil them. */

export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}

/** Every prefix, the whole excluded. */
export function* prefixes(bytes: Uint8Array): IterableIterator<Uint8Array> {
  for (let length = 0; length < bytes.length; length++) yield bytes.slice(0, length)
}

/** Every byte replaced, one at a time, by each of a few others. */
export function* flips(bytes: Uint8Array): IterableIterator<Uint8Array> {
  for (let at = 0; at < bytes.length; at++) {
    for (const flip of [0x01, 0x80, 0xff]) {
      const spoiled = bytes.slice()
      spoiled[at] = spoiled[at]! ^ flip
      yield spoiled
    }
  }
}
