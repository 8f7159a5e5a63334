import { z } from 'zod';
import { type CommandSpec, hostCommand } from './command.ts';
import { name } from './names.ts';

/** What can be asked of the package manager of a vserver. */
export const packageAction = z.enum([
  'list',
  'update',
  'upgrades',
  'upgrade',
  'install',
  'remove',
  'search',
  'show',
  'clean',
]);
export type PackageAction = z.infer<typeof packageAction>;

/** A name, a glob or a word to search for: never an option of the package manager. */
export const packageWord = z
  .string()
  .max(128)
  .regex(/^[A-Za-z0-9][A-Za-z0-9+._:~=*/@-]*$/, 'a package is letters, digits and +._:~=*/@-, such as nginx');

/** One package: `version` is what is installed, `candidate` what could be. */
export const packageInfo = z.object({
  package: z.string(),
  version: z.string().optional(),
  candidate: z.string().optional(),
  security: z.boolean().optional(),
  summary: z.string().optional(),
});
export type PackageInfo = z.infer<typeof packageInfo>;

export const packagesCommands = {
  'packages.run': hostCommand(
    'ask the package manager inside a vserver that runs; progress {text} is what it says. list, upgrades and search answer packages, show answers text; what changes waits for another one that holds the lock (wait, ms)',
    z.strictObject({
      name,
      action: packageAction,
      packages: z.array(packageWord).max(500).optional(),
      wait: z.int().min(0).max(3_600_000).optional(),
    }),
    z.object({
      manager: z.string(),
      packages: z.array(packageInfo).optional(),
      text: z.string().optional(),
      /** Packages that were installed, upgraded or removed. */
      changed: z.int().optional(),
    }),
  ),
  'packages.check': hostCommand(
    'what could be upgraded in each vserver that runs here, by lists that are fetched anew; the answer of the last look is in the state as upgrades and security_upgrades',
    z.strictObject({ name: name.optional() }),
    z.object({
      vservers: z.array(
        z.object({
          name,
          upgrades: z.int().optional(),
          security: z.int().optional(),
          error: z.string().optional(),
        }),
      ),
    }),
  ),
} satisfies Record<string, CommandSpec>;
