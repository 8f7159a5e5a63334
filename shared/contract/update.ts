import { z } from 'zod';
import { type CommandSpec, hostCommand } from './command.ts';
import { bytes, id, ts } from './names.ts';

/** A version of vs-tools, as in package.json. */
export const toolsVersion = z
  .string()
  .max(60)
  .regex(/^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$/, 'a version such as 0.2.0');
/** The file name of a package of vs-tools: no path, so that none leads elsewhere. */
export const packageFile = z
  .string()
  .max(120)
  .regex(/^vs-tools_[0-9][0-9A-Za-z.~+-]*_(amd64|arm64)\.deb$/, 'a name such as vs-tools_0.2.0_amd64.deb');
/** Larger packages are none of ours (bytes). */
export const MOST_PACKAGE = 200 * 1024 * 1024;
export const packageInfo = z.strictObject({
  file: packageFile,
  version: toolsVersion,
  bytes: bytes.max(MOST_PACKAGE),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
});
export type PackageInfo = z.infer<typeof packageInfo>;

/** How an update of a host stands. `back`: the version before is (or is put) there again. */
export const updateStage = z.enum(['none', 'at work', 'installed', 'back', 'failed']);
export type UpdateStage = z.infer<typeof updateStage>;

export const updateLook = z.looseObject({
  version: z.string(),
  /** Of what lies in STATE_DIR. */
  data: z.int().min(1),
  architecture: z.string(),
  /** Why this host cannot be updated from the master; nothing when it can. */
  lacks: z.string().optional(),
  /** Of which saga, and how far it is. */
  saga: id.optional(),
  stage: updateStage,
  message: z.string().optional(),
  /** When the version before comes back by itself, unless the master says that the new one stays. */
  backAt: ts.optional(),
});
export type UpdateLook = z.infer<typeof updateLook>;

/** The update of a host itself, by the saga of the master (docs/upgrade.md). */
export const updateCommands = {
  'host-agent.update-look': hostCommand(
    'the version of vs-tools of this host, whether it can be updated from the master, and how the last update of a saga stands',
    z.strictObject({ saga: id.optional() }),
    updateLook,
  ),
  'host-agent.update-keep': hostCommand(
    'is the package of the version that runs at hand, to go back to: kept by an update before, or by apt? found: its file',
    z.strictObject({ version: toolsVersion }),
    z.object({ found: packageInfo.optional() }),
  ),
  'host-agent.update-install': hostCommand(
    'install a package that came from the master (its checksum is looked at once more), by a unit of systemd of its own; with `back` that package comes back after so many seconds, unless update-settle is heard before',
    z.strictObject({
      saga: id,
      package: packageInfo,
      back: packageInfo.optional(),
      backSeconds: z.int().min(60).max(86_400),
    }),
  ),
  'host-agent.update-back': hostCommand(
    'install the package of before again, if it is not there; nothing when this saga has installed none',
    z.strictObject({ saga: id }),
  ),
  'host-agent.update-settle': hostCommand(
    'the version that is installed stays: nothing comes back by itself any more, and packages of other versions are removed',
    z.strictObject({ saga: id }),
  ),
} satisfies Record<string, CommandSpec>;
