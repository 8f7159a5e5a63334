import type { Settings } from '../config/settings.ts';
import { type Ownership, ownership } from './contract/vserver.ts';
import { pathsFor } from './paths.ts';
import { readJson } from './store.ts';

type Where = Pick<Settings, 'VSERVER_DIR' | 'STATE_DIR' | 'RUN_DIR'>;

/** Where a host keeps who owns a vserver. It lies outside the vserver's tree, so that no copy carries it. */
export const ownershipPath = (settings: Where, name: string): string => pathsFor(settings).ownership(name);

/** The record of a vserver on this host. Every service may read it; only host-agent writes it. */
export const readOwnership = (settings: Where, name: string): Promise<Ownership | undefined> =>
  readJson(ownershipPath(settings, name), ownership);

export const isOwner = async (settings: Where, name: string): Promise<boolean> =>
  (await readOwnership(settings, name))?.owner === true;
