/**
 * The page's script. The page is whole without it; it adds a line over all charts that follows the pointer or the keyboard, and tells what was
 * going on at that moment. Text is only ever set as text.
 */

/** What the script reads from the page. */
export interface Readout {
  readonly seconds: number
  readonly buckets: number
  /** Seconds from and to, and name. */
  readonly faults: readonly (readonly [number, number, string])[]
  /** Seconds from and to, leader or an empty string, term. */
  readonly leaders: readonly (readonly [number, number, string, number])[]
  /** Per operation and bucket: ok and other completions a second, median and 99 of 100 in milliseconds (null: none). */
  readonly operations: Readonly<Record<string, readonly (readonly (number | null)[])[]>>
}

export const READOUT_ID = 'readout-data'

export const script = `
'use strict'
{
  const data = JSON.parse(document.getElementById('${READOUT_ID}').textContent)
  const run = document.getElementById('run')
  const box = document.createElement('div')
  box.id = 'readout'
  const row = document.createElement('div')
  row.className = 'row'
  const label = document.createElement('label')
  label.className = 'gutter'
  label.textContent = 'moment'
  label.htmlFor = 'moment'
  const slider = document.createElement('input')
  Object.assign(slider, { type: 'range', id: 'moment', min: 0, max: data.buckets - 1, value: 0 })
  row.append(label, slider)
  const out = document.createElement('output')
  out.textContent = 'Point at a chart, or move the slider, to read a moment.'
  out.htmlFor = 'moment'
  box.append(row, out)
  run.append(box)
  const ms = (value) => (value === null ? '–' : value < 1000 ? value.toPrecision(3).replace(/\\.?0+$/, '') + ' ms' : (value / 1000).toFixed(2) + ' s')
  const show = (share) => {
    const i = Math.max(0, Math.min(data.buckets - 1, Math.floor(share * data.buckets)))
    const seconds = share * data.seconds
    const [from, to] = [(i / data.buckets) * data.seconds, ((i + 1) / data.buckets) * data.seconds]
    const faults = data.faults.filter(([a, b]) => a <= to && b >= from).map(([, , name]) => name)
    const leader = data.leaders.find(([a, b]) => a <= seconds && seconds <= b)
    const parts = [seconds.toFixed(2) + ' s', faults.length === 0 ? 'no fault' : faults.join(' + ')]
    if (leader !== undefined) parts.push(leader[2] === '' ? 'no leader' : leader[2] + ' leads, term ' + leader[3])
    for (const [f, [ok, other, p50, p99]] of Object.entries(data.operations)) {
      let text = f + ' ' + Math.round(ok[i]) + ' ok/s'
      if (other[i] > 0) text += ', ' + Math.round(other[i]) + ' not ok/s'
      if (p50[i] !== null) text += ', ' + ms(p50[i]) + ' / ' + ms(p99[i])
      parts.push(text)
    }
    out.textContent = parts.join(' · ')
    slider.value = String(i)
    slider.setAttribute('aria-valuetext', out.textContent)
    run.classList.add('live')
    run.style.setProperty('--at', (share * 100).toFixed(2) + '%')
  }
  run.addEventListener('pointermove', (event) => {
    const canvas = event.target.closest('.canvas')
    if (canvas === null) return
    const { left, width } = canvas.getBoundingClientRect()
    show(Math.max(0, Math.min(1, (event.clientX - left) / width)))
  })
  slider.addEventListener('input', () => show((Number(slider.value) + 0.5) / data.buckets))
  const open = () => {
    const target = location.hash === '' ? null : document.getElementById(location.hash.slice(1))
    if (target !== null && target.tagName === 'DETAILS') target.open = true
  }
  addEventListener('hashchange', open)
  open()
}
`
