import type { Clock } from '../../../shared/clock.ts';
import type { Finding } from '../../../shared/contract/doctor.ts';
import type { UpdateLook } from '../../../shared/contract/update.ts';
import { VsError } from '../../../shared/errors.ts';
import { type Agents, fresh } from '../agent.ts';
import type { Step, StepContext } from '../executor.ts';
import type { UpdateHostPlan } from '../plans/update-hosts.ts';
import { size } from '../text.ts';

/** The new agent has to be there within so long (ms) ... */
const INSTALL_MS = 8 * 60_000;
/** ... and well within so long after that, for all of its services may not be ready at once; */
const WELL_MS = 3 * 60_000;
/** else the host goes back by itself after so long (s), also without the master. */
const BACK_SECONDS = 15 * 60;
const POLL_MS = 2000;

const key = ({ check, subject }: Finding) => `${check} ${subject ?? ''}`;

/** What ails the host now and did not before. */
export const newFaults = (before: string[], now: Finding[]): Finding[] =>
  now.filter((one) => one.result === 'fail' && !before.includes(key(one)));

/** The steps of an update of vs-tools on one host. Its vservers are not touched. */
export function updateHostSteps(plan: UpdateHostPlan, agents: Agents, clock: Clock): Step[] {
  const { host, from, to } = plan;
  const look = (context: StepContext) =>
    agents.ask(host, 'host-agent.update-look', { saga: context.id }, context, {
      tag: fresh(),
      timeoutMs: 30_000,
    });
  const doctor = async (context: StepContext) =>
    (await agents.ask(host, 'doctor.look', {}, context, { tag: fresh(), timeoutMs: 300_000 })).findings;

  /** Waits for an end of what dpkg does; an agent that restarts meanwhile does not answer. Throws VsError. */
  async function ended(context: StepContext, ends: (seen: UpdateLook) => boolean): Promise<UpdateLook> {
    const end = clock.elapsed() + INSTALL_MS;
    for (;;) {
      try {
        const seen = await look(context);
        if (ends(seen)) return seen;
      } catch (error) {
        const isAway =
          error instanceof VsError && (error.code === 'unavailable' || error.code === 'deadline');
        if (!isAway || context.signal.aborted) throw error;
      }
      if (clock.elapsed() > end)
        throw new VsError(
          'failed',
          `the agent of ${host} has not come back as it should within ${INSTALL_MS / 60_000} minutes`,
        );
      await clock.sleep(POLL_MS);
    }
  }

  return [
    {
      name: 'check',
      host,
      async do(context) {
        const { lacks } = await look(context);
        if (lacks !== undefined) throw new VsError('refused', lacks);
        const before = (await doctor(context)).filter((one) => one.result === 'fail').map(key);
        context.say(before.length === 0 ? 'all is well there' : `${before.length} faults there before`);
        return { before };
      },
    },
    {
      name: 'send',
      host,
      async do(context) {
        for (const info of [plan.package, ...(plan.back && plan.sendBack ? [plan.back] : [])]) {
          const tag = info.version.replace(/[^0-9A-Za-z]/g, '-');
          const way = { saga: context.id, package: info };
          // a secret of before is of an endpoint that nobody holds open any more
          const opened = await agents.ask(
            host,
            'transfer.open-package',
            { ...way, from: plan.sourceAddress },
            context,
            { tag: `${tag}${fresh()}` },
          );
          const { address, port } = opened;
          const secret = agents.seal('master', opened.secret);
          const sending = { ...way, toHost: host, address, port, secret };
          await agents.ask('master', 'transfer.send-package', sending, context, {
            tag: `${tag}${fresh()}`,
            timeoutMs: 1_800_000,
            onProgress: (progress) => context.progress(progress),
          });
        }
        context.say(`${size(plan.package.bytes)}, its checksum is right`);
      },
      async undo(context) {
        for (const at of ['master', host])
          await agents.ask(at, 'transfer.close', { name: host, saga: context.id }, context);
      },
    },
    {
      name: 'install',
      host,
      async do(context) {
        const { back } = plan;
        const what = { saga: context.id, package: plan.package, ...(back ? { back } : {}) };
        await agents.ask(host, 'host-agent.update-install', { ...what, backSeconds: BACK_SECONDS }, context);
        const { stage, message } = await ended(
          context,
          (seen) => seen.stage !== 'at work' && seen.stage !== 'none',
        );
        if (stage !== 'installed')
          throw new VsError('failed', `vs-tools ${to} was not installed: ${message ?? stage}`);
        context.say(`an agent of ${to} is connected`);
      },
      async undo(context) {
        await agents.ask(host, 'host-agent.update-back', { saga: context.id }, context, {
          tag: fresh(),
          timeoutMs: 900_000,
        });
        const { stage } = await ended(context, (seen) => seen.stage === 'back' || seen.stage === 'none');
        await agents.ask(host, 'host-agent.update-settle', { saga: context.id }, context, { tag: fresh() });
        context.say(stage === 'none' ? 'nothing was installed' : `an agent of ${from} is connected`);
      },
    },
    {
      name: 'look',
      host,
      async do(context) {
        const { before = [] } = (context.outputs['check'] ?? {}) as { before?: string[] };
        const end = clock.elapsed() + WELL_MS;
        for (;;) {
          const faults = newFaults(before, await doctor(context));
          if (faults.length === 0) break;
          const said = faults
            .map((one) => one.message)
            .join('; ')
            .slice(0, 500);
          if (clock.elapsed() > end)
            throw new VsError('failed', `with ${to} the doctor of ${host} finds: ${said}`);
          context.say(`not yet: ${said}`);
          await clock.sleep(POLL_MS);
        }
        context.say('its doctor finds nothing new');
      },
    },
    {
      name: 'settle',
      host,
      pnr: true,
      async do(context) {
        await agents.ask(host, 'host-agent.update-settle', { saga: context.id }, context);
        context.say(`${to} stays`);
      },
    },
  ];
}

export const updateHostTexts = ({ host, from, to, back }: UpdateHostPlan) => ({
  alone: true,
  closing: (): string => `${host} runs vs-tools ${to}; it was ${from}. Its vservers ran on.`,
  failed: (reason: string): string =>
    `${host} stays with vs-tools ${from}: ${reason}. ${back ? `${from} runs there again, or still; its vservers ran on.` : ''}`.trim(),
});
