import { randomBytes } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { PassThrough, type Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import type { SessionWork } from '../../shared/contract/session.ts';
import { VsError } from '../../shared/errors.ts';
import { fileEndings } from '../../shared/frames.ts';
import { withClient } from '../client.ts';
import type { GuestPlace } from '../guest-path.ts';
import { hostOf } from '../locate.ts';
import { type Overrides, extract, shown } from '../tar/extract.ts';
import { putInPlace } from '../tar/place.ts';
import { type Coming, readTar } from '../tar/read.ts';
import { sendTar } from '../tar/write.ts';
import { openSession } from './open.ts';
import type { openMeter } from './meter.ts';
import { type Talk, talk } from './talk.ts';

type Meter = ReturnType<typeof openMeter>;
export interface FilesOptions extends Overrides {
  host?: string | undefined;
  signal: AbortSignal;
}

const warn = (text: string) => process.stderr.write(`vs: ${text}\n`);

/** Collects what tar complains of inside: its end, without what a terminal would obey. */
function openComplaints(): { stream: Writable; text: () => string } {
  const stream = new PassThrough();
  let said = '';
  stream.on('data', (chunk: Buffer) => (said = (said + chunk.toString('utf8')).slice(-2000)));
  return { stream, text: () => said.replace(/[^\n\x20-\x7e\u00a0-\uffff]/g, '?').trim() };
}

/** Files that change while they are read are no fault: what was read is whole, if not of one instant. */
const isHarmless = (said: string): boolean =>
  said !== '' &&
  said
    .split('\n')
    .every((line) => /changed as we read it|removed before we read it|socket ignored/.test(line));

function fail(place: GuestPlace, code: number, said: string): VsError {
  const why = fileEndings[code] ?? `tar ended with exit code ${code}`;
  const more = said.split('\n').filter(Boolean).slice(-3).join('; ').slice(0, 400);
  return new VsError(
    code === 120 || code === 122 ? 'not-found' : 'failed',
    `${place.name}:${place.path}: ${why}${more ? ` (${more})` : ''}.`,
  );
}

async function begin(
  place: GuestPlace,
  work: SessionWork,
  options: FilesOptions,
  ends: { input?: AsyncIterable<Buffer>; output: Writable; complaints: Writable },
): Promise<Talk> {
  const { name } = place;
  options.signal.throwIfAborted();
  const opened = await withClient(async (client) => {
    const host = await hostOf(client, name, options.host);
    return { host, wire: await openSession(client, host, name, work) };
  });
  const session = talk(opened.wire, { ...opened, name, ...ends });
  const stop = () => session.close(options.signal.reason);
  options.signal.addEventListener('abort', stop, { once: true });
  if (options.signal.aborted) stop();
  return session;
}

/** Sends a file, or a directory, into a vserver. Throws VsError. */
export async function pushOne(
  source: string,
  to: GuestPlace,
  how: { as: string; tree: boolean; parents: boolean },
  options: FilesOptions,
  meter: Meter,
): Promise<void> {
  const complaints = openComplaints();
  const nothing = new PassThrough().resume();
  const input = sendTar(source, options, {
    bytes: meter.bytes,
    leftOut: (path) => warn(`${path} is left out: it is no file, directory or link.`),
  });
  const session = await begin(to, { kind: 'push', to: to.path, ...how }, options, {
    input,
    output: nothing,
    complaints: complaints.stream,
  });
  const code = await session.ended;
  if (code !== 0) throw fail(to, code, complaints.text());
}

async function receive<T>(
  from: GuestPlace,
  tree: boolean,
  options: FilesOptions,
  take: (members: AsyncIterable<Coming>) => Promise<T>,
): Promise<T> {
  const complaints = openComplaints();
  const stream = new PassThrough({ highWaterMark: 1024 * 1024 });
  const session = await begin(from, { kind: 'pull', from: from.path, tree }, options, {
    output: stream,
    complaints: complaints.stream,
  });
  const leftOut = (path: string) => warn(`${shown(path)} is left out: it is no file, directory or link.`);
  const taken = take(readTar(stream, leftOut)).then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  );
  let code: number | undefined;
  session.ended.then(
    (ended) => {
      code = ended;
      stream.end();
    },
    (error: unknown) => stream.destroy(error as Error),
  );
  const result = await taken;
  if ('error' in result) session.close(result.error);
  else await session.ended;
  const said = complaints.text();
  if (code !== undefined && code !== 0) {
    if (!isHarmless(said)) throw fail(from, code, said);
    warn(`${from.name}:${from.path}: ${said.split('\n')[0]}`);
  }
  if ('error' in result) throw result.error;
  return result.value;
}

/** Brings a file, or a directory, out of a vserver: first beside its place, where nobody else can look; then there by rename. Throws VsError. */
export async function pullOne(
  from: GuestPlace,
  target: string,
  tree: boolean,
  options: FilesOptions,
  meter: Meter,
): Promise<void> {
  const beside = join(dirname(target), `.vs-pull-${randomBytes(6).toString('hex')}`);
  await mkdir(beside, { mode: 0o700 });
  try {
    await receive(from, tree, options, (members) =>
      extract(counted(members, meter), beside, options, meter.bytes),
    );
    await putInPlace(Buffer.from(`${beside}/data`), Buffer.from(target));
  } finally {
    await rm(beside, { recursive: true, force: true });
  }
}

/** A file or a directory of a vserver as the tar stream that it sends, to a stream of this machine, which is not looked into. Throws VsError. */
export async function pullTar(from: GuestPlace, out: Writable, options: FilesOptions): Promise<void> {
  const complaints = openComplaints();
  const session = await begin(from, { kind: 'pull', from: from.path, tree: true }, options, {
    output: out,
    complaints: complaints.stream,
  });
  const code = await session.ended;
  out.end();
  await finished(out);
  const said = complaints.text();
  if (code !== 0 && !isHarmless(said)) throw fail(from, code, said);
}

/** The content of one file of a vserver, to a stream. */
export async function pullTo(
  from: GuestPlace,
  out: NodeJS.WritableStream,
  options: FilesOptions,
): Promise<void> {
  await receive(from, false, options, async (members) => {
    let count = 0;
    for await (const { type, content } of members) {
      if (type !== 'file' || count++ > 0)
        throw new VsError('refused', `${from.name} sent something else than one file.`);
      for await (const piece of content)
        if (!out.write(piece)) await new Promise((resolve) => out.once('drain', resolve));
    }
  });
}

async function* counted(members: AsyncIterable<Coming>, meter: Meter): AsyncGenerator<Coming> {
  for await (const member of members) {
    meter.file();
    yield member;
  }
}

/** Runs work that ctrl-C gives up in good order. */
export async function interruptible<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T | undefined> {
  const given = new AbortController();
  const stop = () => given.abort(new VsError('failed', 'It was interrupted.'));
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, stop);
  try {
    return await work(given.signal);
  } catch (error) {
    if (!given.signal.aborted) throw error;
    warn('It was interrupted: no file is half in place.');
    process.exitCode = 130;
    return undefined;
  } finally {
    for (const name of ['SIGINT', 'SIGTERM'] as const) process.off(name, stop);
  }
}
