import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import type { Settings } from '../../config/settings.ts';
import type { Template } from '../../shared/contract/template.ts';
import type { Call } from '../../shared/dispatch.ts';
import { VsError } from '../../shared/errors.ts';
import { start } from '../../shared/run.ts';
import {
  type Record_,
  discard,
  find,
  locked,
  place,
  publicOf,
  temporaryIn,
  unknownSentence,
  writeStream,
} from './store.ts';
import {
  type Distribution,
  buildCommand,
  buildFailure,
  distributionOf,
  include,
  requireKeyring,
} from './suites.ts';

const ended = async (child: ReturnType<typeof start>): Promise<number> => {
  const [code] = (await once(child, 'close')) as [number | null];
  return code ?? 1;
};

async function bootstrap(
  settings: Settings,
  suite: string,
  distribution: Distribution,
  path: string,
  call: Call,
): Promise<{ bytes: number; sha256: string }> {
  const maker = start(buildCommand(settings, suite, distribution), {
    stdio: ['ignore', 'pipe', 'pipe'],
    signal: call.signal,
  });
  const packer = start(['zstd', '-q', '-T0', '-3'], {
    stdio: ['pipe', 'pipe', 'ignore'],
    signal: call.signal,
  });
  const lines: string[] = [];
  createInterface({ input: maker.stderr as Readable }).on('line', (line) => {
    lines.push(line);
    if (lines.length > 200) lines.shift();
    const said = /^I: (.{1,200})/.exec(line)?.[1];
    if (said) call.progress({ message: said });
  });
  packer.stdin?.on('error', () => undefined);
  maker.stdout?.pipe(packer.stdin as NodeJS.WritableStream);
  const [made, packed, written] = await Promise.allSettled([
    ended(maker),
    ended(packer),
    writeStream(packer.stdout as AsyncIterable<Buffer>, path),
  ]);
  if (made.status === 'rejected')
    throw new VsError('failed', `mmdebstrap cannot be run: ${String(made.reason)}`, { cause: made.reason });
  if (made.value !== 0) throw buildFailure(settings, suite, distribution, lines);
  if (packed.status === 'rejected' || packed.value !== 0)
    throw new VsError('failed', `${suite} could not be packed: zstd failed`);
  if (written.status === 'rejected')
    throw new VsError(
      'failed',
      `${suite} could not be written to ${settings.TEMPLATE_DIR}: ${String(written.reason)}`,
      { cause: written.reason },
    );
  return written.value;
}

/** Builds a suite into a template of this name, under its lock; the one that is there stays until the new one is whole. */
async function make(
  settings: Settings,
  { name, suite, distribution }: { name: string; suite: string; distribution: Distribution },
  call: Call,
): Promise<Template> {
  const directory = settings.TEMPLATE_DIR;
  requireKeyring(settings, suite, distribution);
  const temporary = temporaryIn(directory, name);
  try {
    const { bytes, sha256 } = await bootstrap(settings, suite, distribution, temporary, call);
    return await place(directory, temporary, {
      name,
      sha256,
      bytes,
      source: suite,
      suite,
      distribution,
      info: `mmdebstrap minbase of ${distribution === 'ubuntu' ? 'Ubuntu' : 'Debian'} ${suite} with ${include}`,
      ts: Date.now(),
      file: `${name}.tar.zst`,
    });
  } finally {
    await discard(temporary);
  }
}

/** Builds a suite; with a template of the name there, only by force. */
export function build(
  settings: Settings,
  args: {
    suite: string;
    name?: string | undefined;
    distribution?: Distribution | undefined;
    force?: boolean | undefined;
  },
  call: Call,
): Promise<Template> {
  const { suite, name = suite, distribution = distributionOf(suite) } = args;
  return locked(settings.TEMPLATE_DIR, name, async () => {
    const known = await find(settings.TEMPLATE_DIR, name);
    if (known && !args.force) {
      call.progress({ message: `template ${name} is there already` });
      return publicOf(known);
    }
    return make(settings, { name, suite, distribution }, call);
  });
}

/** The suite that a template was built from; records of before they had it say so in their info. */
export const suiteOf = (one: Record_ | Template): string | undefined =>
  one.suite ?? (one.info?.startsWith('mmdebstrap ') ? one.source : undefined);

/** Builds the suite of a template anew. */
export function update(settings: Settings, name: string, call: Call): Promise<Template> {
  const directory = settings.TEMPLATE_DIR;
  return locked(directory, name, async () => {
    const known = await find(directory, name);
    if (!known) throw new VsError('not-found', await unknownSentence(directory, name));
    const suite = suiteOf(known);
    if (suite === undefined)
      throw new VsError(
        'refused',
        `template ${name} was imported from ${known.source}, so it is not built anew; remove it and import it again`,
      );
    return make(settings, { name, suite, distribution: known.distribution ?? distributionOf(suite) }, call);
  });
}
