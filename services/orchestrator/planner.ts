import { planBackup } from './plans/backup.ts';
import { planBackupRestore } from './plans/backup-restore.ts';
import { planBackupTest } from './plans/backup-test.ts';
import { planCopy } from './plans/copy.ts';
import { planCreate } from './plans/create.ts';
import { planForget } from './plans/forget.ts';
import { planGet } from './plans/get.ts';
import { planEvacuate } from './plans/evacuate.ts';
import { planMove } from './plans/move.ts';
import { planPut } from './plans/put.ts';
import { planRecover } from './plans/recover.ts';
import { planRemove } from './plans/remove.ts';
import { planRename } from './plans/rename.ts';
import { planRestore } from './plans/restore.ts';
import { planRollback } from './plans/rollback.ts';
import { planRestoreHost } from './plans/restore-host.ts';
import { planUpdateHosts } from './plans/update-hosts.ts';

/** The commands that become sagas, and who decides them: one file each. */
export const planners = {
  move: planMove,
  create: planCreate,
  remove: planRemove,
  get: planGet,
  put: planPut,
  recover: planRecover,
  forget: planForget,
  copy: planCopy,
  rename: planRename,
  restore: planRestore,
  evacuate: planEvacuate,
  'restore-host': planRestoreHost,
  rollback: planRollback,
  backup: planBackup,
  'backup-restore': planBackupRestore,
  'backup-test': planBackupTest,
  'update-hosts': planUpdateHosts,
} satisfies Record<string, unknown>;
