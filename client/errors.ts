/** Errors as the cluster names them. */
import { isErrorCode, MeshError, type Outcome } from '../wire/errors.ts'

/** A code from the cluster as an error; one that only a newer cluster knows becomes Protocol. */
export function meshErrorOf(
  code: string,
  message: string | undefined,
  options: { outcome?: Outcome; cause?: unknown } = {},
): MeshError {
  if (isErrorCode(code)) return new MeshError(code, message ?? code, options)
  return new MeshError('Protocol', `${code}: ${message ?? 'a code that this client does not know'}`, options)
}
