/** The door of jepsen-lite: what `meshmq chaos` runs. */
export { runCli } from './cli.ts'
