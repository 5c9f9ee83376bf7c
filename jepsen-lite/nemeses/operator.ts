/** What faults that work through the CLI have in common. */

/** The answer of a command in one line: standard error's where it failed. */
export function answerOf({ code, stdout, stderr }: { code: number; stdout: string; stderr: string }): string {
  const told = (code === 0 ? stdout : stderr).trim().replace(/\s+/g, ' ')
  return code === 0 ? told : `exit code ${code}: ${told}`
}
