/** A page of a user: whatever it imports comes through the `browser` condition. Tells what it got. */
import * as meshmq from 'meshmq'

globalThis.found = Object.keys(meshmq).sort()
