import { join } from 'node:path';
import type { Settings } from '../config/settings.ts';

/** Where the things of a vserver lie on its host (design.md, "On a host"). One place, so that services agree. */
export function pathsFor(settings: Pick<Settings, 'VSERVER_DIR' | 'STATE_DIR' | 'RUN_DIR'>) {
  const { VSERVER_DIR, STATE_DIR, RUN_DIR } = settings;
  return {
    vserver: (name: string) => join(VSERVER_DIR, name),
    rootfs: (name: string) => join(VSERVER_DIR, name, 'rootfs'),
    vserverJson: (name: string) => join(VSERVER_DIR, name, 'vserver.json'),
    lxcConfig: (name: string) => join(VSERVER_DIR, name, 'config'),
    staging: (name: string, saga: string) => join(VSERVER_DIR, '.staging', `${name}.${saga}`),
    stagingTree: (name: string, saga: string) => join(VSERVER_DIR, '.staging', `${name}.${saga}`, 'tree'),
    /** What a saga has staged: a received snapshot, or the tree. */
    staged: (name: string, saga: string, label?: string) =>
      join(VSERVER_DIR, '.staging', `${name}.${saga}`, label ?? 'tree'),
    snapshots: (name: string) => join(VSERVER_DIR, '.snapshots', name),
    snapshot: (name: string, saga: string, label: string) =>
      join(VSERVER_DIR, '.snapshots', name, `${saga}.${label}`),
    /** The snapshots that people keep, by the uuid of their vserver; those of sagas lie elsewhere. */
    kept: join(VSERVER_DIR, '.kept'),
    trash: join(VSERVER_DIR, '.trash'),
    /** A tree that a saga has put into the trash. */
    trashed: (name: string, saga: string) => join(VSERVER_DIR, '.trash', `${name}.${saga}`),
    /** The idmapped bind mount of a root file system, which the runtime starts from. */
    mount: (name: string) => join(RUN_DIR, name),
    /** Rule files that the start hook loads before any process of the vserver. */
    rules: (name: string) => join(STATE_DIR, 'rules', name),
    /** What it writes to its console (services/host-agent/console.ts). */
    console: (name: string) => join(STATE_DIR, 'log', `${name}.console`),
    ownership: (name: string) => join(STATE_DIR, 'owned', `${name}.json`),
  };
}
export type Paths = ReturnType<typeof pathsFor>;
