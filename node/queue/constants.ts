/**
 * Constants of the machine version: whatever apply reads and wire/limits.ts does not hold. Changing one of them is a new machine
 * version, since replicas that disagree would diverge (traps 31, 32).
 */

/** Part of the state's hash; rises with every change of what apply does. */
export const MACHINE_VERSION = 3

/**
 * Messages, sessions or queues that continuations and timers may touch in one entry before the rest waits for the next one. One
 * unit of work (the open deliveries of one consumer) may overrun it.
 */
export const WORK_PER_ENTRY_MAX = 16_384

/**
 * Ways to queues that the publishes of one entry may take: each run of messages of one topic takes one to each queue that it reaches, and finding
 * the way of a topic takes as many as it looks at. The run that reaches the bound may overrun it.
 */
export const ROUTING_PER_ENTRY_MAX = 1_048_576

/** Deliveries that one entry may cause. What is left is assigned by the next entries. */
export const ASSIGNMENTS_PER_ENTRY_MAX = 32_768

/**
 * Rows of open deliveries that a settle frame may walk beyond those its session has open. Only a frame that names the same
 * deliveries again and again gets there.
 */
export const SETTLE_ROWS_EXTRA_MAX = 1_048_576

/** Distinct nodes whose boots are remembered: far above any cluster. */
export const NODES_MAX = 1024

/**
 * Openings of sessions that a boot is remembered by: far above those whose commands can still be on the way, since each waits for
 * a client's socket.
 */
export const OPENINGS_REMEMBERED_MAX = 4096

/** Outcomes that a session may keep when all together keep as many as they may. */
export const OUTCOMES_RESERVED = 16

/** Topics whose routes are remembered (not state: no result depends on it), and queues or listeners that these hold together. */
export const ROUTES_CACHED_MAX = 8192
export const ROUTE_ITEMS_CACHED_MAX = 1_048_576

/** What a delivery's attempt counter can tell (u16 on the wire); it stops there. */
export const ATTEMPTS_MAX = 65_535
