import type { VserverState } from '../../shared/contract/vserver.ts';
import { VsError } from '../../shared/errors.ts';

/** Work inside a vserver needs one that runs. Throws 'refused', with what to do next. */
export function requireRunning(name: string, host: string, state: VserverState['state']): void {
  if (state === 'running') return;
  if (state === 'frozen')
    throw new VsError('refused', `${name} is paused on ${host}; let it run on with: vs resume ${name}`);
  if (state === 'stopped')
    throw new VsError('refused', `${name} does not run on ${host}; start it with: vs start ${name}`);
  throw new VsError('refused', `${name} is ${state} on ${host}; try again when it runs`);
}
