/**
 * Reads the MessagePack of commands: nil, booleans, numbers, strings, arrays and maps with string keys, nothing else.
 *
 * Apply does not use the library that writes them: what the same bytes mean must not depend on its version or on a native
 * helper that one replica has and another lacks (traps 31, 32), and five bytes that announce an array of millions must not
 * allocate it on every replica. Here a length above the bytes that are left is refused before anything is made.
 *
 * Never: a throw; nesting deeper than commands have.
 */
import { LOG_HEADER_BYTES } from '../../wire/frame.ts'

export type Value = undefined | null | boolean | number | string | readonly Value[] | { readonly [key: string]: Value }
export type Fields = { readonly [key: string]: Value }

const DEPTH_MAX = 8
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
/** Says that the bytes are no command, from any depth. */
const MALFORMED = Symbol('malformed')
type Parsed = Value | typeof MALFORMED

/** The command in a control or node frame, not judged; undefined when its bytes are not exactly one map. */
export function readFields(bytes: Uint8Array, view: DataView, at: number, length: number): Fields | undefined {
  const reader = new Reader(bytes, view, at + LOG_HEADER_BYTES, at + length)
  const value = reader.value(0)
  if (value === MALFORMED || !reader.isAtEnd || !isFields(value)) return undefined
  return value
}

export function isFields(value: Value): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

class Reader {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  #at: number
  readonly #end: number

  constructor(bytes: Uint8Array, view: DataView, at: number, end: number) {
    this.#bytes = bytes
    this.#view = view
    this.#at = at
    this.#end = end
  }

  get isAtEnd(): boolean {
    return this.#at === this.#end
  }

  value(depth: number): Parsed {
    if (!this.#has(1) || depth > DEPTH_MAX) return MALFORMED
    const tag = this.#view.getUint8(this.#at++)
    if (tag < 0x80) return tag
    if (tag < 0x90) return this.#map(tag & 0x0f, depth)
    if (tag < 0xa0) return this.#array(tag & 0x0f, depth)
    if (tag < 0xc0) return this.#text(tag & 0x1f)
    if (tag >= 0xe0) return tag - 0x100
    return this.#tagged(tag, depth)
  }

  #tagged(tag: number, depth: number): Parsed {
    switch (tag) {
      case 0xc0:
        return null
      case 0xc2:
        return false
      case 0xc3:
        return true
      case 0xd4:
        return this.#undefined()
      case 0xd9:
        return this.#sized(1, (size) => this.#text(size))
      case 0xda:
        return this.#sized(2, (size) => this.#text(size))
      case 0xdb:
        return this.#sized(4, (size) => this.#text(size))
      case 0xdc:
        return this.#sized(2, (size) => this.#array(size, depth))
      case 0xdd:
        return this.#sized(4, (size) => this.#array(size, depth))
      case 0xde:
        return this.#sized(2, (size) => this.#map(size, depth))
      case 0xdf:
        return this.#sized(4, (size) => this.#map(size, depth))
      default:
        return this.#number(tag)
    }
  }

  #number(tag: number): Parsed {
    const at = this.#at
    const size = numberBytes(tag)
    if (size === 0 || !this.#has(size)) return MALFORMED
    this.#at += size
    switch (tag) {
      case 0xca:
        return this.#view.getFloat32(at)
      case 0xcb:
        return this.#view.getFloat64(at)
      case 0xcc:
        return this.#view.getUint8(at)
      case 0xcd:
        return this.#view.getUint16(at)
      case 0xce:
        return this.#view.getUint32(at)
      case 0xcf:
        return Number(this.#view.getBigUint64(at))
      case 0xd0:
        return this.#view.getInt8(at)
      case 0xd1:
        return this.#view.getInt16(at)
      case 0xd2:
        return this.#view.getInt32(at)
      default:
        return Number(this.#view.getBigInt64(at))
    }
  }

  /** The extension by which a field that is there without a value is written: type 0, one byte 0. */
  #undefined(): Parsed {
    if (!this.#has(2) || this.#view.getUint16(this.#at) !== 0) return MALFORMED
    this.#at += 2
    return undefined
  }

  #sized(sizeBytes: 1 | 2 | 4, read: (size: number) => Parsed): Parsed {
    if (!this.#has(sizeBytes)) return MALFORMED
    const at = this.#at
    this.#at += sizeBytes
    if (sizeBytes === 1) return read(this.#view.getUint8(at))
    return read(sizeBytes === 2 ? this.#view.getUint16(at) : this.#view.getUint32(at))
  }

  #text(size: number): Parsed {
    if (!this.#has(size)) return MALFORMED
    const at = this.#at
    this.#at += size
    try {
      return decoder.decode(this.#bytes.subarray(at, at + size))
    } catch {
      return MALFORMED
    }
  }

  #array(size: number, depth: number): Parsed {
    if (!this.#has(size)) return MALFORMED
    const values: Value[] = []
    for (let i = 0; i < size; i++) {
      const value = this.value(depth + 1)
      if (value === MALFORMED) return MALFORMED
      values.push(value)
    }
    return values
  }

  #map(size: number, depth: number): Parsed {
    if (!this.#has(2 * size)) return MALFORMED
    const fields: { [key: string]: Value } = Object.create(null)
    for (let i = 0; i < size; i++) {
      const key = this.value(depth + 1)
      const value = typeof key === 'string' ? this.value(depth + 1) : MALFORMED
      if (typeof key !== 'string' || value === MALFORMED) return MALFORMED
      fields[key] = value
    }
    return fields
  }

  #has(bytes: number): boolean {
    return bytes <= this.#end - this.#at
  }
}

/** Size of the number behind a tag; 0 for a tag that is none. */
function numberBytes(tag: number): number {
  if (tag === 0xca) return 4
  if (tag === 0xcb) return 8
  if (tag >= 0xcc && tag <= 0xcf) return 2 ** (tag - 0xcc)
  if (tag >= 0xd0 && tag <= 0xd3) return 2 ** (tag - 0xd0)
  return 0
}
