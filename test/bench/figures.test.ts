import { describe, expect, it } from 'vitest'
import { formatFigure, formatRuns, Latencies, median } from '../../bench/figures.ts'
import { parseBenchOptions, workloadNames } from '../../bench/options.ts'

describe('Latencies', () => {
  it('knows the percentiles of everything it was given', () => {
    const latencies = new Latencies()
    const count = 200_000
    for (let i = count; i > 0; i--) latencies.add(i)
    expect(latencies.summary()).toEqual({ p50Ms: count / 2 + 1, p99Ms: count * 0.99 + 1, maxMs: count })
  })

  it('has no figure for a run without a message', () => {
    expect(new Latencies().summary()).toEqual({ p50Ms: Number.NaN, p99Ms: Number.NaN, maxMs: Number.NaN })
  })
})

it.each([
  [[3], 3],
  [[3, 1, 2], 2],
  [[4, 1, 3, 2], 2.5],
])('median of %j is %d', (values, expected) => {
  expect(median(values)).toBe(expected)
})

it.each([
  [123_456.7, '123,457'],
  [999.6, '1000'],
  [123.4, '123'],
  [12.34, '12.3'],
  [1.234, '1.23'],
  [0.1234, '0.123'],
  [0, '0'],
  [Number.NaN, '-'],
])('formats %d as %s', (value, text) => {
  expect(formatFigure(value)).toBe(text)
})

it('formats runs as median and range', () => {
  expect(formatRuns([3, 1, 2])).toBe('2.00 (1.00–3.00)')
  expect(formatRuns([2])).toBe('2.00')
})

describe('the options of the benchmark', () => {
  it('have the defaults of the definitions', () => {
    expect(parseBenchOptions([], '/data')).toMatchObject({
      workloads: workloadNames,
      sizes: [128, 1024],
      reps: 3,
      seconds: 6,
      window: 1000,
      on: 'leader',
      directory: '/data',
    })
  })

  it('take lists', () => {
    const options = parseBenchOptions(['w1,W2', 'W6', '--size=64', '--profile=n1,publisher'], '/data')
    expect(options).toMatchObject({ workloads: ['W1', 'W2', 'W6'], sizes: [64], profile: ['n1', 'publisher'] })
  })

  it.each([['W9'], ['--reps=0'], ['--secs=1.5'], ['--on=n1'], ['--sise=3']])('refuse %s', (argument) => {
    expect(() => parseBenchOptions([argument], '/data')).toThrow()
  })
})
