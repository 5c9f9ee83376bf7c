/**
 * Arguments as commander hands them over, turned into values. What is wrong with one is told in a sentence.
 */
import { InvalidArgumentError, Option } from 'commander'
import { MeshError } from '../../wire/errors.ts'
import { limits } from '../../wire/limits.ts'
import { logLevels } from '../logger.ts'

/** A whole number from `least` to `most`. */
export function parseInteger(least: number, most: number = Number.MAX_SAFE_INTEGER) {
  return (text: string): number => {
    const value = Number(text)
    if (/^\d+$/.test(text) && value >= least && value <= most) return value
    const upTo = most === Number.MAX_SAFE_INTEGER ? ` of at least ${least}` : ` from ${least} to ${most}`
    throw new InvalidArgumentError(`It must be a whole number${upTo}.`)
  }
}

/** `--log-level`, which lets through what a logger knows. */
export function logLevelOption(text: string): Option {
  return new Option('--log-level <level>', text).choices(logLevels)
}

/** For options that may be given several times, each of them with several values between commas. */
export function collectList(text: string, previous: readonly string[] = []): string[] {
  const values = text.split(',').map((value) => value.trim())
  if (values.includes('')) throw new InvalidArgumentError('An entry is empty.')
  return [...previous, ...values]
}

/** URLs of nodes, as `collectList` takes them. */
export function collectServers(text: string, previous: readonly string[] = []): string[] {
  const servers = collectList(text, previous)
  const wrong = servers.find((server) => !/^wss?:\/\//.test(server) || !URL.canParse(server))
  if (wrong !== undefined) throw new InvalidArgumentError(`'${wrong}' is not a ws:// or wss:// address.`)
  return servers
}

/** `key=value`, repeatable. */
export function collectHeader(text: string, previous: Readonly<Record<string, string>> = {}): Record<string, string> {
  const at = text.indexOf('=')
  if (at < 1) throw new InvalidArgumentError('It must be key=value.')
  return { ...previous, [text.slice(0, at)]: text.slice(at + 1) }
}

/** `n1=ws://host:port,n2=…`, repeatable. */
export function collectMembers(text: string, previous: Readonly<Record<string, string>> = {}): Record<string, string> {
  const members = { ...previous }
  for (const member of collectList(text)) {
    const at = member.indexOf('=')
    if (at < 1) throw new InvalidArgumentError('It must be a list such as n1=ws://127.0.0.1:7101,n2=ws://…')
    const id = member.slice(0, at)
    if (Object.hasOwn(members, id)) throw new InvalidArgumentError(`It names '${id}' twice.`)
    members[id] = member.slice(at + 1)
  }
  return members
}

/** What BODY stands for: `-` is all of standard input, and with `json` the text is a JSON value. */
export async function readBody(argument: string, json: boolean): Promise<unknown> {
  const text = argument === '-' ? await readStandardInput() : argument
  if (!json) return text
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new MeshError('Validation', `the body is no JSON: ${(cause as Error).message}`, { cause })
  }
}

async function readStandardInput(): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of process.stdin) {
    bytes += chunk.length
    if (bytes > limits.messageBytesMax) {
      throw new MeshError('PayloadTooLarge', `standard input holds more than ${limits.messageBytesMax} bytes`)
    }
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}
