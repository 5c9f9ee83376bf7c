/**
 * The port through which a node tells what it does, and the adapters that come with it: JSON lines (pino), lines for people
 * and silence. An embedding service brings its own, or one of `console`'s shape.
 *
 * Never: decisions. Nothing waits for a log line, and what must not be lost is an error or a metric as well.
 */
import { type DestinationStream, pino } from 'pino'

/** What belongs to the line beside its text. An `error` field holds an Error. */
export type LogFields = Readonly<Record<string, unknown>>

export interface Logger {
  debug(message: string, fields?: LogFields): void
  info(message: string, fields?: LogFields): void
  warn(message: string, fields?: LogFields): void
  error(message: string, fields?: LogFields): void
  /** A logger that adds `fields` to each of its lines. Absent: the same logger serves. */
  child?(fields: LogFields): Logger
}

export const logLevels = ['debug', 'info', 'warn', 'error'] as const
export type LogLevel = (typeof logLevels)[number]

export const silentLogger: Logger = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  child: () => silentLogger,
}

/** One JSON object a line, on `destination` or standard output. Written synchronously, so that a line before a crash is seen. */
export function jsonLogger(level: LogLevel, destination?: DestinationStream): Logger {
  const options = { level, base: null, serializers: { error: pino.stdSerializers.err } }
  return adapt(destination === undefined ? pino(options) : pino(options, destination))
}

/** What `adapt` needs of pino. */
interface PinoLike {
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
  child(fields: object): PinoLike
}

function adapt(lines: PinoLike): Logger {
  return {
    debug: (message, fields = {}) => lines.debug(fields, message),
    info: (message, fields = {}) => lines.info(fields, message),
    warn: (message, fields = {}) => lines.warn(fields, message),
    error: (message, fields = {}) => lines.error(fields, message),
    child: (fields) => adapt(lines.child(fields)),
  }
}

/** Lines for people: `12:00:01.234 warn  text key=value`. `write` gets each line with its line feed. */
export function textLogger(level: LogLevel, write: (line: string) => void, bound: LogFields = {}): Logger {
  const lowest = logLevels.indexOf(level)
  const at = (lineLevel: LogLevel) => (message: string, fields?: LogFields) => {
    if (logLevels.indexOf(lineLevel) < lowest) return
    const time = new Date().toISOString().slice(11, 23)
    write(`${time} ${lineLevel.padEnd(5)} ${message}${formatFields({ ...bound, ...fields })}\n`)
  }
  return {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    child: (fields) => textLogger(level, write, { ...bound, ...fields }),
  }
}

function formatFields(fields: LogFields): string {
  let text = ''
  for (const [key, value] of Object.entries(fields)) text += ` ${key}=${formatValue(value)}`
  return text
}

function formatValue(value: unknown): string {
  if (value instanceof Error) return JSON.stringify(value.stack ?? value.message)
  if (typeof value === 'string') return /^[\w.:/@+-]+$/.test(value) ? value : JSON.stringify(value)
  if (typeof value === 'object' && value !== null) return JSON.stringify(value)
  return String(value)
}
