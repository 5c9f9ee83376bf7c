/** SIGKILL of a process that clients live in, with whatever they had under way. Others take their places. */
import type { Nemesis } from '../nemesis.ts'

export const clients: Nemesis = {
  name: 'clients',
  about: 'SIGKILL a process with clients and consumers; new ones take their places',
  draw(random) {
    const dice = random.next()
    return {
      name: 'kill clients',
      holdMs: 0,
      async begin(target) {
        const clientsKilled = await target.killWorker(dice)
        return { what: `${clientsKilled} clients killed`, done: { clientsKilled } }
      },
      end: async () => ({ what: '', done: {} }),
    }
  },
  bite: ({ clientsKilled = 0 }) => (clientsKilled > 0 ? undefined : 'no client was killed'),
}
