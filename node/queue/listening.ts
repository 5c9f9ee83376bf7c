/** Volatile interest: which attached sessions hear a topic. Nothing of it touches the log; each node asks its own replica. */
import { limits } from '../../wire/limits.ts'
import { inForce, type Listener, type Listening, type Session, type State } from './state.ts'
import type { Step } from './step.ts'

/** The new listener, or why there is no room for one. */
export function startListening(step: Step, session: Session, pattern: string): Listening | string {
  if (session.listeners.size >= limits.listenersPerSessionMax) {
    return `the session has ${limits.listenersPerSessionMax} listeners already`
  }
  if (step.state.listening.size >= limits.listenersMax) return `there are ${limits.listenersMax} listeners already`
  const listening: Listening = { id: step.mint(), session, pattern }
  session.listeners.set(listening.id, listening)
  step.state.listening.add(pattern, listening)
  forgetHeard(step.state)
  return listening
}

export function stopListening(state: State, listening: Listening): void {
  listening.session.listeners.delete(listening.id)
  state.listening.remove(listening.pattern, listening)
  forgetHeard(state)
}

/** Who hears the topic changed somewhere. */
export function forgetHeard(state: State): void {
  state.heard.clear()
}

/** In order of listener ids; the same array until something changes. */
export function listenersOf(state: State, topic: string): readonly Listener[] {
  const known = state.heard.get(topic)
  if (known !== undefined) return known
  const listeners: Listener[] = []
  for (const { id, session } of state.listening.match(topic)) {
    const to = inForce(session)
    if (to !== undefined) listeners.push({ session: session.id, listener: id, to })
  }
  listeners.sort((a, b) => a.listener - b.listener)
  state.heard.set(topic, listeners, listeners.length)
  return listeners
}
