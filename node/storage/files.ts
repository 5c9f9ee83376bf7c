/**
 * The file port: the little of a file system that storage needs, so that the simulator can run the same code on
 * files that crash, tear and rot.
 *
 * Never: policy (what to write where is wal.ts's).
 */

export interface File {
  /**
   * Writes all buffers, one behind the other, at `position`, and resolves when they are durable: one `writev` on a descriptor
   * that is opened with O_DSYNC. A crash before that may leave any part of the range as it was, written or torn.
   */
  writeDurable(buffers: readonly Uint8Array[], position: number): Promise<void>
  /** Fills `buffer` from `position`; resolves with the bytes read, fewer only at the end of the file. */
  read(buffer: Uint8Array, position: number): Promise<number>
  size(): Promise<number>
  close(): Promise<void>
}

export interface Files {
  /** Opens for reading and writing; `create` makes an empty file and fails if there is one. */
  open(path: string, options?: { readonly create?: boolean }): Promise<File>
  /** Names in a directory, sorted; rejects when there is none. */
  list(directory: string): Promise<string[]>
  /** Without effect if it is there already. */
  makeDirectory(path: string): Promise<void>
  rename(from: string, to: string): Promise<void>
  remove(path: string): Promise<void>
  /** Makes creations, renames and removals in the directory durable (trap 25). */
  syncDirectory(path: string): Promise<void>
  /** Bytes that this process may still write to the file system which holds that path. */
  freeBytes(path: string): Promise<number>
}
