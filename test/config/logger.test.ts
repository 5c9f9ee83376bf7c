import { describe, expect, it } from 'vitest'
import { jsonLogger, type LogLevel, silentLogger, textLogger } from '../../node/logger.ts'

describe('the text logger', () => {
  function lines(level: LogLevel) {
    const written: string[] = []
    return { written, logger: textLogger(level, (line) => written.push(line)) }
  }

  it('writes time, level, text and fields on one line', () => {
    const { written, logger } = lines('debug')
    logger.warn('the link is slow', { peer: 'n2', ms: 12, note: 'two words', at: { index: 7 } })
    expect(written).toHaveLength(1)
    expect(written[0]).toMatch(
      /^\d\d:\d\d:\d\d\.\d{3} warn {2}the link is slow peer=n2 ms=12 note="two words" at=\{"index":7\}\n$/,
    )
  })

  it('leaves out what is below its level', () => {
    const { written, logger } = lines('warn')
    logger.debug('a')
    logger.info('b')
    logger.error('c')
    expect(written).toHaveLength(1)
  })

  it('keeps the stack of an error on the same line', () => {
    const { written, logger } = lines('info')
    logger.error('failed', { error: new Error('disk on fire') })
    expect(written[0]).toContain('disk on fire')
    expect(written[0]?.trimEnd()).not.toContain('\n')
  })

  it('adds the fields of its parents', () => {
    const { written, logger } = lines('info')
    logger.child?.({ node: 'n1' }).child?.({ group: 0 }).info('x')
    expect(written[0]).toMatch(/ x node=n1 group=0\n$/)
  })
})

describe('the JSON logger', () => {
  it('writes one object a line, with errors and the fields of its parents', () => {
    const written: string[] = []
    const logger = jsonLogger('info', { write: (line) => written.push(line) })
    logger.debug('left out')
    logger.child?.({ node: 'n1' }).error('failed', { error: new Error('disk on fire') })
    expect(written).toHaveLength(1)
    expect(JSON.parse(written[0]!)).toMatchObject({
      level: 50,
      node: 'n1',
      msg: 'failed',
      error: { type: 'Error', message: 'disk on fire' },
    })
  })
})

it('the silent logger has silent children', () => {
  expect(silentLogger.child?.({ a: 1 })).toBe(silentLogger)
})
