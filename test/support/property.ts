/**
 * fast-check with a seed that is fixed: what CI runs today it runs tomorrow, so a property that fails does so because of a change. New cases
 * are looked for on purpose, with MESHMQ_PROPERTY_SEED=random (or a number): a property that fails tells its seed and its path.
 */
import process from 'node:process'
import fc from 'fast-check'

const FIXED_SEED = 7
const { MESHMQ_PROPERTY_SEED: wanted } = process.env

if (wanted !== 'random') {
  const seed = wanted === undefined ? FIXED_SEED : Number(wanted)
  if (!Number.isInteger(seed)) throw new Error(`MESHMQ_PROPERTY_SEED is no integer: ${wanted}`)
  fc.configureGlobal({ ...fc.readConfigureGlobal(), seed })
}

export { fc }
