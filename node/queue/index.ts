/** The only door of the queue machine. */
export type { Boot, NodeCommand } from './command.ts'
export { encodeNodeCommand } from './command.ts'
export type { Attachment, Effect } from './effect.ts'
export { encodeEntry, entryWallMs, frameStart, positionFrame, positionMessage } from './entry.ts'
export { type Listener, Machine, type QueueStats, type SessionSummary } from './machine.ts'
