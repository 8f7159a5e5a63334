import type { UpdateLook } from '../../../shared/contract/update.ts';
import { compareVersions } from '../../../shared/versions.ts';

/** What is known of a host that shall get the version of the master. */
export interface HostFacts {
  host: string;
  online: boolean;
  /** The version of its agent, as it said last. */
  version: string | undefined;
  /** What its agent says of itself; undefined when it does not know how to be updated. */
  look: UpdateLook | undefined;
  /** Sagas that are at work there. */
  busy: string[];
  /** The package for its processor is at hand on the master. */
  hasPackage: boolean;
  /** The package of the version that it runs is at hand, there or on the master. */
  hasBack: boolean;
}
export interface Wanted {
  version: string;
  /** Of what the new version writes into STATE_DIR. */
  data: number;
  /** Also hosts that could not go back. */
  oneWay: boolean;
  /** Where packages lie on the master. */
  directory: string;
}
/** `busy`: it is updated, once the sagas there have ended. */
export type Decision =
  | { what: 'current' }
  | { what: 'update'; from: string }
  | { what: 'busy'; from: string; why: string }
  | { what: 'refused'; why: string }
  | { what: 'offline'; why: string };

/** What becomes of one host; no host is made newer than its master, and none without a way back unless a person says so. */
export function decide(facts: HostFacts, wanted: Wanted): Decision {
  const { host, version, look } = facts;
  const refused = (why: string): Decision => ({ what: 'refused', why });
  if (!facts.online) return { what: 'offline', why: `${host} is offline` };
  if (version === undefined) return refused(`${host} has not said its version yet; try again`);
  if (version === wanted.version) return { what: 'current' };
  if (compareVersions(version, wanted.version) > 0)
    return refused(
      `${host} runs ${version}, which is newer than the ${wanted.version} of the master: upgrade the master first`,
    );
  if (!look)
    return refused(
      `the agent of ${host} is of ${version}, which cannot be updated from the master yet: install the package there by hand, this once`,
    );
  if (look.lacks !== undefined) return refused(look.lacks);
  if (look.stage === 'at work')
    return refused(`${host} is being installed already (saga ${look.saga}); wait for its end`);
  if (!facts.hasPackage)
    return refused(
      `there is no package of vs-tools ${wanted.version} for ${look.architecture} in ${wanted.directory} of the master: name it with --package`,
    );
  if (!wanted.oneWay && look.data < wanted.data)
    return refused(
      `${wanted.version} writes data of version ${wanted.data} on ${host}, which ${version} (version ${look.data}) cannot read: it could not go back by itself. Upgrade it all the same with --one-way; a copy of its data is kept (docs/upgrade.md)`,
    );
  if (look.data > wanted.data)
    return refused(
      `${host} has data of version ${look.data}, ${wanted.version} knows data up to version ${wanted.data}: a downgrade is refused`,
    );
  if (!wanted.oneWay && !facts.hasBack)
    return refused(
      `the package of ${version}, to which ${host} would go back, is at hand neither there nor on the master: put it into ${wanted.directory} of the master, or do without a way back with --one-way`,
    );
  if (facts.busy.length > 0)
    return { what: 'busy', from: version, why: `waits for ${facts.busy.join(', ')}` };
  return { what: 'update', from: version };
}
