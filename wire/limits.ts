/**
 * Every bound of the client protocol and of the replicated machine, named in one place, with its unit.
 *
 * The machine reads these in apply, so they are constants of the machine version: changing one that apply reads is a
 * new machine version (trap 31, 32). Bounds that only one node reads are options of that node (node/config.ts).
 */
export const limits = {
  /** Body and properties of one message, bytes. */
  messageBytesMax: 1024 * 1024,
  /** The SDK closes a publish frame when it holds this many bytes of messages; one larger message travels alone. */
  frameBytesTarget: 256 * 1024,
  /** A log frame larger than this is refused: one message of full size with its header and topic. */
  frameBytesMax: 1024 * 1024 + 64 * 1024,
  /** Messages in one publish frame; what 20 bits of a message's position can tell. */
  frameMessagesMax: 8192,
  /** Frames in one log entry; what 12 bits of a position can tell. */
  entryFramesMax: 4096,
  /** Distinct topics in one publish frame. */
  frameTopicsMax: 4096,
  /** Items in one settle frame. */
  frameSettlesMax: 4096,
  /** Bytes of a topic, pattern or queue name in UTF-8. */
  nameBytesMax: 255,
  /** Words of a topic or pattern. */
  topicWordsMax: 32,
  /** Open deliveries that one consumer may hold. */
  prefetchMax: 10_000,
  /** Messages that one receive may take. */
  receiveMessagesMax: 1_000,
  /** Consumers of one session, and its receives that wait or hold messages. */
  consumersPerSessionMax: 1024,
  /** Consumers of all sessions. */
  consumersMax: 200_000,
  /** Volatile listeners of one session. */
  listenersPerSessionMax: 1024,
  /** Volatile listeners of all sessions. */
  listenersMax: 200_000,
  /** Outcomes that a session keeps until the client says it has seen them. */
  outcomesPerSessionMax: 4096,
  /** Outcomes that all sessions keep together; beyond it each may still keep a few. */
  outcomesMax: 500_000,
  sessionsMax: 100_000,
  queuesMax: 100_000,
  /** Queues that are exclusive to one session. */
  exclusiveQueuesPerSessionMax: 1024,
  bindingsPerQueueMax: 1024,
  /** Bindings of all queues. */
  bindingsMax: 200_000,
  /** Messages in one queue: ready, delayed, or delivered and not settled. */
  queueMessagesMax: 20_000_000,
  /** Messages in all queues; one that is in several counts in each. At most 16 bytes of memory each while they are ready. */
  queuedMessagesMax: 50_000_000,
  /** Longest delay of a nack, longest visibility timeout and longest wait of a receive, milliseconds. */
  delayMsMax: 24 * 60 * 60 * 1000,
} as const

/** Defaults that the SDK sends explicitly, so that apply never reads a local setting. */
export const defaults = {
  visibilityTimeoutMs: 30_000,
  sessionLeaseMs: 60_000,
  detachGraceMs: 1_000,
  prefetch: 100,
} as const
