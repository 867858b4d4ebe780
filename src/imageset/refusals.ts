/** Why a set refuses host commands in the role that it has now (R4). Pure. */
import { RcopyError } from '../base/errors.ts';
import type { SetFile } from '../format/set-file.ts';

/** The refusal of a read or a write; undefined when hosts may do it. */
export function hostRefusal(
  file: SetFile,
  usable: boolean,
  kind: 'read' | 'write',
): RcopyError | undefined {
  const { seal, role, pair, name } = file;
  if (seal) return sealedError(file);
  if (role === 'primary') return undefined;
  if (role === 'target') {
    const reason = `${name} is the target of a migration that has not switched`;
    return new RcopyError('E_ROLE', reason, { hint: 'see `rcopy migrate status`' });
  }
  if (kind === 'write') {
    return new RcopyError('E_ROLE', `${name} is a secondary: hosts write to its primary`, {
      hint: pair ? `its primary is ${pair.peer.name} at ${pair.peer.address}` : undefined,
    });
  }
  if (usable) return undefined;
  return new RcopyError('E_STATE', `${name} is not usable: its copy is not complete`, {
    hint: 'run `rcopy replicate` on its primary',
  });
}

/** The refusal of a set that handed its group over; names the successor. */
export function sealedError(file: SetFile): RcopyError {
  const successor = file.seal?.successor;
  return new RcopyError(
    'E_SEALED',
    `${file.name} is sealed: ${successor?.name ?? 'its successor'} took over its volumes`,
    { hint: `use ${successor?.address ?? 'the successor'} instead` },
  );
}
