import { z } from 'zod';
import { type CommandSpec, masterCommand } from './command.ts';
import { bytes, empty, hostName, name, ts } from './names.ts';

/** A template's name: a suite such as bookworm, or the name a tarball was imported under. */
export const templateName = z
  .string()
  .regex(
    /^[a-z0-9][a-z0-9.-]{0,31}$/,
    'a template name is lower-case letters, digits, dots and dashes, such as bookworm',
  );
/** What an OCI image says of itself, and how a vserver of it runs: by an init of its own, by its program, or idle. */
export const templateImage = z.object({
  /** The digest of the image's configuration, which is its identity. */
  id: z.string().max(140),
  runs: z.enum(['init', 'program', 'idle']),
  entrypoint: z.array(z.string()),
  cmd: z.array(z.string()),
  env: z.array(z.string()),
  workdir: z.string(),
  user: z.string(),
  stopSignal: z.string(),
  ports: z.array(z.string()),
  architecture: z.string(),
});
export type TemplateImage = z.infer<typeof templateImage>;
/** A template; `suite`: it can be built anew; `info`: a text for people, that of the .info file beside a tarball. */
export const template = z.object({
  name: templateName,
  sha256: z.string(),
  bytes,
  source: z.string(),
  info: z.string().optional(),
  suite: z.string().optional(),
  distribution: z.enum(['debian', 'ubuntu']).optional(),
  image: templateImage.optional(),
  ts,
});
export type Template = z.infer<typeof template>;

/** A vserver that came from a template; sha256: of the template as it was then. */
export const templateVserver = z.object({ host: hostName, name, sha256: z.string().optional() });

export const templateCommands = {
  'template.list': masterCommand(
    'the templates on the master',
    empty,
    z.object({ templates: z.array(template) }),
  ),
  'template.show': masterCommand('one template', z.strictObject({ name: templateName }), template),
  'template.build': masterCommand(
    'build a suite of Debian or Ubuntu with mmdebstrap; progress {message, percent?}',
    z.strictObject({
      suite: templateName,
      name: templateName.optional(),
      distribution: z.enum(['debian', 'ubuntu']).optional(), // by the suite unless told
      force: z.boolean().optional(),
    }),
    template,
  ),
  'template.update': masterCommand(
    'build the suite of a template anew, with the newest packages; the old one stays until the new one is whole',
    z.strictObject({ name: templateName }),
    template,
  ),
  'template.import': masterCommand(
    'take over a tarball (.tar, .tar.gz, .tar.zst, .tar.xz) or an OCI image archive (oci:FILE) that lies on the master',
    z.strictObject({ file: z.string(), name: templateName.optional() }),
    template,
  ),
  'template.remove': masterCommand('remove a template', z.strictObject({ name: templateName })),
  'template.look': masterCommand(
    'what a source is, without building or importing anything: of a template, or a tarball or image that can become one',
    z.strictObject({ source: z.string().min(1).max(4096) }),
    z.object({
      kind: z.enum(['busybox', 'template', 'suite', 'tarball', 'image', 'unknown']),
      text: z.string(), // for people
      info: z.string().optional(),
      bytes: bytes.optional(), // packed, as far as it is known
      template: templateName.optional(),
    }),
  ),
  'template.ensure': masterCommand(
    'the template of a source: built-in busybox, a template, a suite (built when missing), the path of a tarball or oci:FILE (imported); progress as build',
    z.strictObject({ source: z.string().min(1).max(4096) }),
    z.object({ kind: z.enum(['busybox', 'template']), template: template.optional() }),
  ),
  'template.serve': masterCommand(
    'an address from which one host may fetch a template once',
    z.strictObject({ name: templateName, to: z.union([z.ipv4(), z.ipv6()]) }),
    z.object({ url: z.url(), secret: z.string(), sha256: z.string(), bytes }),
  ),
} satisfies Record<string, CommandSpec>;
