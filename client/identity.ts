/** Who this client is to the cluster at the moment: its session and attachment, as the last welcome told. */

/** The one Raft group of the cluster; log frames, ids and confirms name it. */
export const GROUP = 0

export class Identity {
  /** 0 while there is none. */
  session = 0
  /** Of the attachment; log frames name it. */
  epoch = 0
  /** Number of the last connection opened for the session; rises with each. */
  connection = 0

  /** The id of a message that this session published. */
  messageId(sequence: number): string {
    return `${GROUP}-${this.session}-${sequence}`
  }

  forget(): void {
    this.session = 0
    this.epoch = 0
    this.connection = 0
  }
}
