import { z } from 'zod';
import { type CommandSpec, masterCommand } from './command.ts';
import { bytes, empty, ts } from './names.ts';

/** A template's name: a suite such as bookworm, or the name a tarball was imported under. */
export const templateName = z
  .string()
  .regex(
    /^[a-z0-9][a-z0-9.-]{0,31}$/,
    'a template name is lower-case letters, digits, dots and dashes, such as bookworm',
  );
export const template = z.object({
  name: templateName,
  sha256: z.string(),
  bytes,
  source: z.string(),
  info: z.string().optional(),
  ts,
});
export type Template = z.infer<typeof template>;

export const templateCommands = {
  'template.list': masterCommand(
    'the templates on the master',
    empty,
    z.object({ templates: z.array(template) }),
  ),
  'template.build': masterCommand(
    'build a Debian suite with mmdebstrap; progress {message, percent?}',
    z.strictObject({ suite: templateName, name: templateName.optional(), force: z.boolean().optional() }),
    template,
  ),
  'template.import': masterCommand(
    'take over a tarball (.tar, .tar.gz, .tar.zst, .tar.xz) that lies on the master',
    z.strictObject({ file: z.string(), name: templateName.optional() }),
    template,
  ),
  'template.remove': masterCommand('remove a template', z.strictObject({ name: templateName })),
  'template.ensure': masterCommand(
    'the template of a source: built-in busybox, a template, a suite (built when missing) or the path of a tarball (imported); progress as build',
    z.strictObject({ source: z.string().min(1).max(4096) }),
    z.object({ kind: z.enum(['busybox', 'template']), template: template.optional() }),
  ),
  'template.serve': masterCommand(
    'an address from which one host may fetch a template once',
    z.strictObject({ name: templateName, to: z.union([z.ipv4(), z.ipv6()]) }),
    z.object({ url: z.url(), secret: z.string(), sha256: z.string(), bytes }),
  ),
} satisfies Record<string, CommandSpec>;
