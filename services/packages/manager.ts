import type { PackageAction, PackageInfo } from '../../shared/contract/packages.ts';

/** How one package manager is asked. Pure: argument vectors, and what its words mean. */
export interface Manager {
  name: string;
  /** A file inside the vserver that tells that it is there. */
  program: string;
  /** The command of an action; its words have been checked (shared/contract/packages.ts). */
  command(action: PackageAction, packages: string[]): string[];
  /** Packages in the output of list, upgrades and search. */
  parse(action: PackageAction, output: string): PackageInfo[];
  /** So many packages changed, by the output of upgrade, install or remove. */
  changed(output: string): number;
  /** Does a failure say that another one holds the lock? Then who, as it says. */
  lockedBy(output: string): string | undefined;
  /** What downloads. */
  downloads: ReadonlySet<PackageAction>;
}

/** What downloads with every manager; the firewall opens for it, and the cache is cleaned after it. */
export const downloads: ReadonlySet<PackageAction> = new Set(['update', 'upgrade', 'install']);

export const lines = (output: string): string[] => output.split('\n').filter((line) => line.trim() !== '');
