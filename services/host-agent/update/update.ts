import { rm } from 'node:fs/promises';
import type { Args, Data } from '../../../shared/contract/commands.ts';
import { DATA_VERSION } from '../../../shared/data-version.ts';
import { VsError } from '../../../shared/errors.ts';
import { run } from '../../../shared/run.ts';
import type { Context } from '../../../shared/service.ts';
import { architecture, dpkgSays, isAtWork, lacking, lastWords } from './facts.ts';
import { judge } from './judge.ts';
import { logOf, readNote, writeNote } from './note.ts';
import { dropOthers, keptPackage, requirePackage } from './packages.ts';
import { backTimer, callOff, installUnit, settled } from './units.ts';

/** Updates vs-tools of this host, as the master tells it, and tells after a restart how that ended. */
export function createUpdate(context: Pick<Context, 'settings' | 'host' | 'version' | 'bus' | 'log'>) {
  const { settings, host, version, bus, log } = context;
  const directory = settings.PACKAGE_DIR;
  const ended = new AbortController();

  async function stands() {
    const note = await readNote(settings);
    if (!note || note.settled)
      return { note, ...judge(note, { atWork: false, dpkg: undefined, running: version, said: '' }) };
    const [atWork, dpkg, said] = await Promise.all([isAtWork(), dpkgSays(), lastWords(logOf(settings))]);
    return { note, ...judge(note, { atWork, dpkg, running: version, said }) };
  }
  async function requireAble(): Promise<void> {
    const lacks = await lacking(host);
    if (lacks !== undefined) throw new VsError('refused', lacks);
  }

  async function look({ saga }: Args<'host-agent.update-look'>): Promise<Data<'host-agent.update-look'>> {
    const { note, stage, message } = await stands();
    const lacks = await lacking(host);
    const ofSaga = note !== undefined && (saga === undefined || note.saga === saga);
    return {
      version,
      data: DATA_VERSION,
      architecture: await architecture(),
      ...(lacks === undefined ? {} : { lacks }),
      ...(note ? { saga: note.saga } : {}),
      stage: ofSaga ? stage : 'none',
      ...(ofSaga && message !== undefined ? { message } : {}),
      ...(ofSaga && !note.settled && note.backAt !== undefined ? { backAt: note.backAt } : {}),
    };
  }
  async function install(args: Args<'host-agent.update-install'>): Promise<void> {
    await requireAble();
    const { note, stage } = await stands();
    if (note?.saga === args.saga) return; // begun in a former life of the master
    if (stage === 'at work')
      throw new VsError('conflict', `vs-tools of ${host} is being updated already (saga ${note?.saga})`);
    const path = await requirePackage(directory, args.package);
    const before = args.back && (await requirePackage(directory, args.back));
    await callOff(); // of a saga that nobody ended
    await rm(logOf(settings), { force: true });
    // first the note: what is not known to have begun is not begun behind its back
    const now = Date.now();
    await writeNote(settings, {
      version: 1,
      saga: args.saga,
      from: version,
      to: args.package.version,
      package: args.package,
      ...(args.back ? { back: args.back, backAt: now + args.backSeconds * 1000 } : {}),
      started: now,
    });
    if (before !== undefined) await run(backTimer(before, logOf(settings), args.backSeconds));
    await run(installUnit(path, logOf(settings)));
  }
  async function back({ saga }: Args<'host-agent.update-back'>, signal: AbortSignal): Promise<void> {
    const first = await stands();
    if (first.note?.saga !== saga || first.note.settled) return;
    if (first.stage === 'at work') await settled(signal);
    const { note, stage } = await stands();
    if (!note || stage === 'back') return;
    if (!note.back)
      throw new VsError(
        'refused',
        `${host} has no package of vs-tools ${note.from} to go back to: install it there by hand`,
      );
    const path = await requirePackage(directory, note.back);
    await run(installUnit(path, logOf(settings)));
  }
  async function settle({ saga }: Args<'host-agent.update-settle'>): Promise<void> {
    const { note } = await stands();
    if (note?.saga !== saga || note.settled) return;
    await callOff();
    await writeNote(settings, { ...note, settled: true });
    bus.alert('host', 'update', null);
    await dropOthers(directory, note.to === version ? note.package.file : (note.back?.file ?? ''));
  }
  /** After a start: how the update ended that this agent comes from, or that was cut off. */
  async function tell(): Promise<void> {
    const note = await readNote(settings);
    if (!note || note.settled || note.told === version) return;
    await settled(ended.signal);
    const { stage, message } = await stands();
    const text =
      stage === 'installed'
        ? `vs-tools ${note.to} runs on ${host}, in the place of ${note.from}`
        : `vs-tools ${note.to} was not installed on ${host}: ${message ?? stage}`;
    bus.event('host-agent', stage === 'installed' ? 'updated' : 'update-failed', text, { saga: note.saga });
    const failed = stage === 'failed';
    bus.alert('host', 'update', failed ? { ts: Date.now(), severity: 'critical', message: text } : null);
    const last = await readNote(settings);
    if (last?.saga === note.saga) await writeNote(settings, { ...last, told: version });
  }

  return {
    handlers: {
      'host-agent.update-look': look,
      'host-agent.update-keep': async ({ version: of }: Args<'host-agent.update-keep'>) => {
        await requireAble();
        const found = await keptPackage(directory, of, await architecture());
        return found ? { found } : {};
      },
      'host-agent.update-install': async (args: Args<'host-agent.update-install'>) => {
        await install(args);
        return {};
      },
      'host-agent.update-back': async (
        args: Args<'host-agent.update-back'>,
        call: { signal: AbortSignal },
      ) => {
        await back(args, call.signal);
        return {};
      },
      'host-agent.update-settle': async (args: Args<'host-agent.update-settle'>) => {
        await settle(args);
        return {};
      },
    },
    start(): void {
      void tell().catch((error: unknown) => log.warn({ error: String(error) }, 'an update was not told of'));
    },
    stop: () => ended.abort(),
  };
}
