import type { BackupRecord } from '../../shared/contract/backup.ts';

/** A backup of web1 that was taken at a moment (epoch ms), as a repository tells it. */
export const backupOf = (taken: number, more: Partial<BackupRecord> = {}): BackupRecord => ({
  version: 1,
  id: new Date(taken).toISOString().replaceAll(/[-:]|\.\d+/g, ''),
  vserver: 'web1',
  repository: 'main',
  uuid: '9b2f6a52-6f43-4f0f-9d51-7a2d0f7c9a11',
  host: 'host1',
  epoch: 1,
  mode: 'hot',
  kind: 'snapshot',
  running: true,
  enabled: true,
  network: 'blue',
  address: '10.60.10.5',
  taken,
  finished: taken + 1000,
  saga: 'backup-1',
  bytes: 1000,
  files: 10,
  protected: false,
  ...more,
});
