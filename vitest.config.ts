import process from 'node:process'
import { defineConfig } from 'vitest/config'

/** Set by scripts/check.js, which counts from the report what passed, failed and was skipped. */
const report = process.env.MESHMQ_TEST_REPORT

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // Real nodes and real disks are exercised: a test that hangs is a defect, not a slow machine.
    testTimeout: 30_000,
    hookTimeout: 30_000,
    pool: 'forks',
    maxWorkers: 2,
    reporters: report === undefined ? ['default'] : ['default', ['json', { outputFile: report }]],
  },
})
