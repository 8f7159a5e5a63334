import type { z } from 'zod';
import { alerterCommands } from './alerter.ts';
import { auditCommands } from './audit.ts';
import { authorityCommands } from './authority.ts';
import { backupSchedulerCommands } from './backup-scheduler.ts';
import { doctorCommands } from './doctor.ts';
import { controlCommands } from './control.ts';
import { firewallCommands } from './firewall.ts';
import { historyCommands } from './history.ts';
import { keptCommands } from './kept.ts';
import { monitorCommands } from './monitor.ts';
import { networkCommands } from './network.ts';
import { networksCommands } from './networks.ts';
import { orchestratorCommands } from './orchestrator.ts';
import { packagesCommands } from './packages.ts';
import { masterArchiveCommands } from './master-archive.ts';
import { repositoryCommands } from './repository.ts';
import { sessionCommands } from './session.ts';
import { snapshotCommands } from './snapshot.ts';
import { templateCommands } from './template.ts';
import { transferCommands } from './transfer.ts';
import { updateCommands } from './update.ts';
import { hostAgentCommands } from './vserver.ts';

/** Every command of every service: `service.command` -> its schemas. */
export const commands = {
  ...hostAgentCommands,
  ...controlCommands,
  ...sessionCommands,
  ...updateCommands,
  ...networkCommands,
  ...networksCommands,
  ...firewallCommands,
  ...monitorCommands,
  ...snapshotCommands,
  ...keptCommands,
  ...transferCommands,
  ...templateCommands,
  ...masterArchiveCommands,
  ...repositoryCommands,
  ...backupSchedulerCommands,
  ...orchestratorCommands,
  ...auditCommands,
  ...authorityCommands,
  ...doctorCommands,
  ...packagesCommands,
  ...historyCommands,
  ...alerterCommands,
};
export type CommandName = keyof typeof commands;
export type Args<K extends CommandName> = z.infer<(typeof commands)[K]['args']>;
export type Data<K extends CommandName> = z.infer<(typeof commands)[K]['data']>;
