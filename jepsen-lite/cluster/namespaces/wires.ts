/**
 * Namespaces and what joins them: one for each node, with an address under which the others and the clients find it and another one for the
 * harness, whose questions no fault may touch; and a hub with a bridge. The bridge is not the machine's own, whose firewall might have a say in
 * what it forwards. The machine has one end of a cable to the hub, and an address there.
 */
import { randomBytes, randomInt } from 'node:crypto'
import { inside, tell, tellAtOnce } from './commands.ts'
import { nameOf, newPrefix, sweep } from './names.ts'

/** The last number of the machine's own address, and what the addresses for the harness are further on than the nodes' own. */
const MACHINE = 254
const HARNESS = 100

const TRIES = 20

export interface Place {
  readonly id: string
  /** Of its namespace. */
  readonly name: string
  /** For other nodes and for clients. */
  readonly address: string
  /** For the harness. */
  readonly harnessAddress: string
}

export class Wires {
  readonly places: ReadonlyMap<string, Place>
  /** Under which the nodes see clients. */
  readonly clientAddress: string
  readonly #hub: string
  /** The machine's end of its cable: names of interfaces are short. */
  readonly #machineEnd = `mq${randomBytes(5).toString('hex')}`

  /** Sweeps what former runs left, and sets all of it up. Rejects with what the system refused; nothing is left then. */
  static async lay(ids: readonly string[]): Promise<Wires> {
    await sweep()
    const wires = new Wires(ids, newPrefix(), await freeSubnet())
    try {
      await wires.#lay()
    } catch (error) {
      wires.remove()
      throw error
    }
    return wires
  }

  private constructor(ids: readonly string[], prefix: string, subnet: string) {
    this.#hub = nameOf(prefix, 'hub')
    this.clientAddress = `${subnet}.${MACHINE}`
    const places = ids.map((id, i): Place => {
      const [address, harnessAddress] = [`${subnet}.${1 + i}`, `${subnet}.${HARNESS + 1 + i}`]
      return { id, name: nameOf(prefix, id), address, harnessAddress }
    })
    this.places = new Map(places.map((place) => [place.id, place]))
  }

  /** At once. Processes that are still in there keep what they are in until they end. */
  remove(): void {
    const names = [this.#hub, ...[...this.places.values()].map(({ name }) => name)]
    // Its other end goes with it, and with a namespace all cables that end there; but the kernel takes its time for those.
    const lines = [`link delete dev ${this.#machineEnd}`, ...names.map((name) => `netns delete ${name}`)]
    tellAtOnce(['ip', '-force', '-batch', '-'], text(lines))
  }

  async #lay(): Promise<void> {
    const places = [...this.places.values()]
    await tell(
      ['ip', '-batch', '-'],
      text([
        `netns add ${this.#hub}`,
        ...places.map(({ name }) => `netns add ${name}`),
        ...places.map(
          ({ id, name }) => `link add name eth0 netns ${name} type veth peer name ${id} netns ${this.#hub}`,
        ),
        `link add name ${this.#machineEnd} type veth peer name machine netns ${this.#hub}`,
        ...enabled(this.#machineEnd, [this.clientAddress]),
      ]),
    )
    const ports = ['machine', ...places.map(({ id }) => id)]
    await tell(
      [...inside(this.#hub), 'ip', '-batch', '-'],
      text([
        'link add name bridge type bridge',
        'link set dev bridge up',
        ...ports.map((port) => `link set dev ${port} master bridge up`),
      ]),
    )
    for (const { name, address, harnessAddress } of places) {
      const lines = ['link set dev lo up', ...enabled('eth0', [address, harnessAddress])]
      await tell([...inside(name), 'ip', '-batch', '-'], text(lines))
    }
  }
}

/** The first address is the one that it dials from. Packets of the size of the wire's, as a limit of bytes a second has to see them. */
function enabled(device: string, addresses: readonly string[]): string[] {
  const added = addresses.map((address) => `addr add ${address}/24 dev ${device}`)
  return [...added, `link set dev ${device} gso_max_segs 1 up`]
}

/** The first three numbers of a private range to which this machine knows no way of its own. */
async function freeSubnet(): Promise<string> {
  for (let tries = 0; tries < TRIES; tries++) {
    const subnet = `10.${randomInt(256)}.${randomInt(256)}`
    const found = await tell(['ip', '-4', '-json', 'route', 'show', 'match', `${subnet}.0/24`])
    const routes = JSON.parse(found || '[]') as readonly { readonly dst: string }[]
    if (routes.every(({ dst }) => dst === 'default')) return subnet
  }
  throw new Error(`found no free range of addresses in 10.0.0.0/8 in ${TRIES} tries`)
}

function text(lines: readonly string[]): string {
  return lines.map((line) => `${line}\n`).join('')
}
