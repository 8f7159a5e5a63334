import { randomBytes } from 'node:crypto';
import type { Network } from '../../../shared/contract/network.ts';
import type { VserverConfig } from '../../../shared/contract/vserver.ts';
import { VsError } from '../../../shared/errors.ts';
import type { Agents } from '../agent.ts';
import type { Step } from '../executor.ts';
import { size } from '../text.ts';

export interface CreatePlan {
  name: string;
  host: string;
  hostAddress: string;
  source: string;
  config: VserverConfig;
  start: boolean;
}

/** A random locally administered unicast MAC. */
export const randomMac = (): string =>
  `02:${[...randomBytes(5)].map((byte) => byte.toString(16).padStart(2, '0')).join(':')}`;

/** The IPv6 address that goes with an IPv4 one: the network's prefix and the last bytes as people write them (10.60.10.5 -> fd60:10::5). */
export function derive6(network: Network, address: string): string | undefined {
  if (!network.subnet6) return undefined;
  const [prefix = ''] = network.subnet6.split('/');
  const bytes = address.split('.');
  const host = Number(network.subnet.split('/')[1]) >= 24 ? bytes.slice(3) : bytes.slice(2);
  return prefix.endsWith('::') ? `${prefix}${host.join(':')}` : undefined;
}

/** Room for a new vserver when the size of its template is not known (bytes). */
const UNKNOWN = 64e6;

/** The steps of a create. */
export function createSteps(plan: CreatePlan, agents: Agents): Step[] {
  const { name, host, config } = plan;
  const both = (context: { id: string }) => ({ name, saga: context.id });
  const steps: (Step | false)[] = [
    {
      name: 'template',
      host: 'master',
      async do(context) {
        const { kind, template } = await agents.ask(
          'master',
          'template.ensure',
          { source: plan.source },
          context,
          { timeoutMs: 3_600_000, onProgress: (progress) => context.progress(progress) },
        );
        context.say(template ? `${template.name}, ${size(template.bytes)}` : kind);
        return { kind, ...(template ? { template: template.name, size: template.bytes } : {}) };
      },
    },
    {
      name: 'lock',
      host,
      do: async (context) =>
        void (await agents.ask(host, 'host-agent.lock', { ...both(context), ttl: 86_400_000 }, context)),
      undo: async (context) => void (await agents.ask(host, 'host-agent.unlock', both(context), context)),
    },
    {
      name: 'network',
      host,
      async do(context) {
        const { answers } = await agents.ask(
          host,
          'network.check',
          { network: config.network, address: config.address },
          context,
        );
        if (answers)
          throw new VsError(
            'refused',
            `${config.address} is in use: ${answers} answers there on network ${config.network}`,
          );
        context.say(`${config.address} is free on ${config.network}`);
      },
      undo: async (context) =>
        void (await agents.ask(host, 'network.down', { network: config.network }, context)),
    },
    {
      name: 'stage',
      host,
      async do(context) {
        const packed = Number(context.outputs['template']?.['size'] ?? 0);
        const { free } = await agents.ask(
          host,
          'snapshot.allocate',
          { ...both(context), bytes: packed ? packed * 4 : UNKNOWN, tree: true },
          context,
        );
        context.say(`${host} has ${size(free)} free`);
      },
      undo: async (context) => void (await agents.ask(host, 'snapshot.discard', both(context), context)),
    },
    {
      name: 'install',
      host,
      async do(context) {
        const { kind, template } = context.outputs['template'] as { kind: string; template?: string };
        const source =
          kind === 'busybox' || !template
            ? { kind: 'busybox' as const }
            : {
                kind: 'template' as const,
                name: template,
                ...(await agents.ask(
                  'master',
                  'template.serve',
                  { name: template, to: plan.hostAddress },
                  context,
                  { tag: Date.now().toString(36) },
                )),
              };
        const { bytes, files } = await agents.ask(
          host,
          'host-agent.install',
          { ...both(context), source, config },
          context,
          {
            timeoutMs: 3_600_000,
            tag: Date.now().toString(36),
            onProgress: (progress) => context.progress(progress),
          },
        );
        context.say(`${size(bytes)} in ${files} files`);
      },
    },
    {
      name: 'adopt',
      host,
      async do(context) {
        await agents.ask(host, 'snapshot.adopt', both(context), context);
        await agents.ask(host, 'host-agent.configure', both(context), context);
      },
      async undo(context) {
        await agents.ask(host, 'host-agent.detach', both(context), context);
        await agents.ask(host, 'snapshot.evict', both(context), context);
      },
    },
    {
      name: 'own',
      host,
      do: async (context) =>
        void (await agents.ask(host, 'host-agent.claim', { ...both(context), epoch: 1 }, context)),
      undo: async (context) =>
        void (await agents
          .ask(host, 'host-agent.release', { ...both(context), epoch: 1, to: 'nobody' }, context)
          .catch((error: unknown) => {
            if (!(error instanceof VsError) || error.code !== 'conflict') throw error; // it was never claimed
          })),
    },
    plan.start && {
      name: 'start',
      host,
      do: async (context) =>
        void (await agents.ask(host, 'host-agent.start', both(context), context, { timeoutMs: 120_000 })),
      undo: async (context) =>
        void (await agents.ask(host, 'host-agent.stop', { ...both(context), force: true }, context, {
          timeoutMs: 120_000,
        })),
    },
    plan.start && {
      name: 'answer',
      host,
      do: async (context) =>
        void (await agents.ask(host, 'host-agent.answering', { name, timeout: 60_000 }, context, {
          timeoutMs: 90_000,
        })),
    },
    {
      name: 'unlock',
      host,
      async do(context) {
        await agents.ask(host, 'snapshot.discard', both(context), context);
        await agents.ask(host, 'host-agent.unlock', both(context), context);
      },
    },
  ];
  return steps.filter((step) => step !== false);
}

export const createTexts = (plan: CreatePlan) => ({
  closing: (): string =>
    `${plan.name} ${plan.start ? 'runs' : 'is'} on ${plan.host} with ${plan.config.address} in network ${plan.config.network}.${plan.start ? '' : ` Start it with: vs start ${plan.name}`}`,
  failed: (reason: string): string =>
    `${plan.name} was not created: ${reason}. Nothing of it is left on ${plan.host}.`,
});
