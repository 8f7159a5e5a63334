import { btrfsQuota } from './btrfs-quota.ts';
import type { Driver } from './drivers.ts';
import { projectQuota } from './project-quota.ts';

/** What a tree uses and may use (bytes); `used` is absent where nothing counts it, or it is being counted anew. */
export interface QuotaLook {
  used?: number | undefined;
  limit?: number | undefined;
}
/** A driver of disk limits. */
export interface Quota {
  how: 'qgroup' | 'project' | 'volume';
  /** Why this host cannot limit the space of a tree, and what to do about it; undefined when it can. */
  missing(): Promise<string | undefined>;
  /** What takes a while before the first limit. */
  ready(): Promise<void>;
  /** `exact`: also what is not written to the disk yet. */
  look(tree: string, exact?: boolean): Promise<QuotaLook>;
  /** Sets the limit of a tree, or with null takes it away; what is set already may be set again. */
  limit(tree: string, bytes: number | null): Promise<void>;
  /** What has to be looked at from time to time. */
  tidy(): Promise<void>;
}

/** The driver of disk limits for a storage. */
export const quotaOf = (driver: Driver, directory: string): Quota =>
  driver.quota ?? (driver.storage === 'btrfs' ? btrfsQuota(directory) : projectQuota(directory));
