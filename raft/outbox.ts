/**
 * What the core wants sent, answered and read, until the next Ready takes it. It decides which messages wait for the disk.
 *
 * Never: sends.
 */
import type { Message } from './message.ts'
import type { InstallOffer } from './ports.ts'
import type { LoadRequest, ReadResult } from './ready.ts'

/** A message without its envelope. */
export type Letter = Unaddressed<Message>
type Unaddressed<M> = M extends Message ? Omit<M, 'from' | 'to' | 'fromIncarnation' | 'toIncarnation' | 'term'> : never

/**
 * Votes, requests for them and answers to appends speak of what is on the disk, so they wait for it (trap 1); refusals
 * too, since they tell a term. A real vote request waits because it tells a log end: a candidate that lost its end in a
 * crash could otherwise use votes that were given to a longer log. The rest promises nothing: a heartbeat's answer says
 * no more than that its sender knew of no later term.
 */
function promises(message: Message): boolean {
  if (message.type === 'voteRequest') return !message.pre
  return message.type === 'voteResponse' || message.type === 'appendResponse'
}

export class Outbox {
  messages: Message[] = []
  messagesAfterSync: Message[] = []
  reads: ReadResult[] = []
  loads: LoadRequest[] = []
  install: InstallOffer | undefined
  trusted = 0

  get isEmpty(): boolean {
    return (
      this.messages.length === 0 &&
      this.messagesAfterSync.length === 0 &&
      this.reads.length === 0 &&
      this.loads.length === 0 &&
      this.install === undefined &&
      this.trusted === 0
    )
  }

  post(message: Message): void {
    if (promises(message)) this.messagesAfterSync.push(message)
    else this.messages.push(message)
  }

  take(): Pick<Outbox, 'messages' | 'messagesAfterSync' | 'reads' | 'loads' | 'install' | 'trusted'> {
    const { messages, messagesAfterSync, reads, loads, install, trusted } = this
    this.messages = []
    this.messagesAfterSync = []
    this.reads = []
    this.loads = []
    this.install = undefined
    this.trusted = 0
    return { messages, messagesAfterSync, reads, loads, install, trusted }
  }
}
