/** A small reader of EDN, written from its definition and not from our writer: what the tests hold the history against. */

export interface Keyword {
  readonly keyword: string
}

export type Edn = null | boolean | number | bigint | string | Keyword | readonly Edn[] | ReadonlyMap<string, Edn>

/** Reads one value and nothing behind it. Keys of a map are told apart: `:a` for keywords, `"a"` for strings. */
export function readEdn(text: string): Edn {
  const reader = new Reader(text)
  const value = reader.value()
  reader.end()
  return value
}

class Reader {
  readonly #text: string
  #at = 0

  constructor(text: string) {
    this.#text = text
  }

  end(): void {
    this.#space()
    if (this.#at < this.#text.length)
      throw new Error(`more at ${this.#at}: ${this.#text.slice(this.#at, this.#at + 20)}`)
  }

  value(): Edn {
    this.#space()
    const character = this.#text[this.#at]
    if (character === '"') return this.#string()
    if (character === '[') return this.#list(']')
    if (character === '{') return this.#map()
    if (character === ':') return { keyword: this.#symbol(1) }
    const symbol = this.#symbol(0)
    if (symbol === 'nil') return null
    if (symbol === 'true' || symbol === 'false') return symbol === 'true'
    if (/^[+-]?(0|[1-9]\d*)N$/.test(symbol)) return BigInt(symbol.slice(0, -1))
    if (/^[+-]?(0|[1-9]\d*)$/.test(symbol)) {
      const whole = BigInt(symbol)
      if (whole !== BigInt.asIntN(64, whole)) throw new Error(`${symbol} does not fit 64 bits and has no N`)
      return Number(whole)
    }
    if (/^[+-]?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/.test(symbol)) return Number(symbol)
    throw new Error(`no value: ${symbol}`)
  }

  #space(): void {
    while (/[\s,]/.test(this.#text[this.#at] ?? '')) this.#at++
  }

  #symbol(skip: number): string {
    const from = this.#at + skip
    this.#at = from
    while (this.#at < this.#text.length && !/[\s,()[\]{}";]/.test(this.#text[this.#at]!)) this.#at++
    const symbol = this.#text.slice(from, this.#at)
    if (symbol === '' || (skip === 1 && !/^[A-Za-z*!_?$%&=<>+.-][\w*!?$%&=<>+.#-]*$/.test(symbol))) {
      throw new Error(`no symbol at ${from}: ${symbol}`)
    }
    return symbol
  }

  #list(close: string): Edn[] {
    const all: Edn[] = []
    this.#at++
    for (;;) {
      this.#space()
      if (this.#text[this.#at] === close) break
      all.push(this.value())
    }
    this.#at++
    return all
  }

  #map(): ReadonlyMap<string, Edn> {
    const all = this.#list('}')
    if (all.length % 2 !== 0) throw new Error('a map with a key without a value')
    const map = new Map<string, Edn>()
    for (let i = 0; i < all.length; i += 2) {
      const key = all[i]!
      const name = typeof key === 'string' ? `"${key}"` : `:${(key as Keyword).keyword}`
      if (map.has(name)) throw new Error(`the key ${name} is there twice`)
      map.set(name, all[i + 1]!)
    }
    return map
  }

  #string(): string {
    let text = ''
    for (this.#at++; this.#text[this.#at] !== '"'; this.#at++) {
      const character = this.#text[this.#at]
      if (character === undefined) throw new Error('a string without an end')
      text += character === '\\' ? this.#escape() : character
    }
    this.#at++
    return text
  }

  #escape(): string {
    const character = this.#text[++this.#at]!
    const named: Record<string, string> = { n: '\n', r: '\r', t: '\t', '"': '"', '\\': '\\' }
    if (named[character] !== undefined) return named[character]
    if (character !== 'u') throw new Error(`no escape: \\${character}`)
    const hex = this.#text.slice(this.#at + 1, this.#at + 5)
    if (!/^[0-9a-f]{4}$/i.test(hex)) throw new Error(`no escape: \\u${hex}`)
    this.#at += 4
    return String.fromCharCode(Number.parseInt(hex, 16))
  }
}
