/** Every nemesis there is. */
import type { Nemesis } from '../nemesis.ts'

export const nemeses: readonly Nemesis[] = []
