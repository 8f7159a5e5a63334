import type { Args } from '../../shared/contract/commands.ts';
import type { Finding } from '../../shared/contract/doctor.ts';
import { ownershipsOf } from '../../shared/ownership.ts';
import { pathsFor } from '../../shared/paths.ts';
import { run } from '../../shared/run.ts';
import type { Context, Service } from '../../shared/service.ts';
import { networksOf } from '../../shared/interfaces.ts';
import { vethOf } from '../../shared/veth.ts';
import { lookAtCertificate } from './certificate.ts';
import { about, tried } from './finding.ts';
import { idStarts, judgeIds, judgeOwnership, passwd } from './guests.ts';
import { judgeKernel, kernelFacts } from './kernel.ts';
import { devicesOf, judgeNetworks } from './networks.ts';
import { type Orphan, judgeLeft, leftOf } from './orphans.ts';
import { lookAtStorage } from './storage.ts';
import { lookAtTools } from './tools.ts';
import { listenFor, lookAtWays } from './ways.ts';

/** The doctor of a host: looks whether all is there and in order that its services need. It changes nothing unless told to. */
export function service(context: Context): Service {
  const { bus, host, settings } = context;
  const paths = pathsFor(settings);
  const list = async () => (await bus.request(host, 'host-agent.list', {})).vservers;

  async function networks(): Promise<Finding[]> {
    const { networks: known, taken } = await bus.request(host, 'network.list', {});
    const uplinks = known.flatMap(({ network }) => network.uplink ?? []);
    return judgeNetworks(known, await devicesOf([...new Set(uplinks)]), await list(), {
      mtu: settings.MTU,
      source: taken?.source ?? 'file',
    });
  }
  async function vservers(): Promise<Finding[]> {
    const here = await list();
    const configs = await Promise.all(
      here.map(async ({ name }) => (await bus.request(host, 'host-agent.show', { name })).config),
    );
    return [
      ...judgeOwnership(here, await ownershipsOf(settings, {})),
      ...judgeIds(await passwd(), idStarts(configs)),
    ];
  }
  async function mend({ do: what, name, saga }: NonNullable<Orphan['mend']>): Promise<string> {
    if (what === 'discard') await bus.request(host, 'snapshot.discard', { name, saga });
    else if (what === 'drop') await bus.request(host, 'snapshot.remove', { name, saga });
    else if (what === 'unlock') await bus.request(host, 'host-agent.unlock', { name, saga });
    else await run(['umount', paths.mount(name)]);
    return what === 'unlock'
      ? 'it is held no more'
      : what === 'unmount'
        ? 'it is mounted no more'
        : 'it was removed';
  }
  async function orphans({ fix, sagas }: Args<'doctor.look'>): Promise<Finding[]> {
    const here = await list();
    const veths = new Set(
      here
        .filter((one) => one.state !== 'stopped')
        .flatMap(({ name, network, more }) => [
          vethOf(name),
          ...networksOf({ network, more })
            .slice(1)
            .map((further) => vethOf(name, further)),
        ]),
    );
    const found = judgeLeft(
      await leftOf(settings),
      here,
      sagas && { ...sagas, running: new Set(sagas.running) },
      veths,
    );
    const findings: Finding[] = [];
    for (const one of found) {
      if (fix && one.mend)
        try {
          one.finding.fixed = await mend(one.mend);
        } catch (error) {
          // the others are mended all the same
          one.finding.todo = `it could not be mended: ${error instanceof Error ? error.message : String(error)}`;
        }
      findings.push(one.finding);
    }
    const { ok, warn } = about('orphans');
    if (!sagas)
      findings.push(
        warn(
          'the master did not say which sagas run, so nothing of sagas was looked at',
          'look again with the master there',
        ),
      );
    if (findings.length === 0) findings.push(ok('nothing is left over'));
    return findings;
  }

  return {
    name: 'doctor',
    handlers: {
      'doctor.look': async (args) => {
        const { storage, faults } = await bus.request(host, 'snapshot.info', {}).then(
          (info) => ({ storage: info.storage as string, faults: info.faults ?? [] }),
          (error: unknown) => ({
            storage: 'unknown',
            faults: [error instanceof Error ? error.message : String(error)],
          }),
        );
        const checks: [string, () => Promise<Finding[]>][] = [
          ['kernel', async () => judgeKernel(await kernelFacts())],
          ['tools', () => lookAtTools(storage)],
          ['storage', () => lookAtStorage(settings, storage, args.fix === true, faults)],
          ['networks', networks],
          ['certificate', () => lookAtCertificate(settings)],
          ['ways', () => lookAtWays((args.peers ?? []).filter((one) => one.host !== host))],
          ['vservers', vservers],
          ['orphans', () => orphans(args)],
        ];
        const all = await Promise.all(checks.map(([name, look]) => tried(name, look)));
        return { findings: all.flat(), ts: Date.now() };
      },
      'doctor.listen': ({ seconds }) => listenFor(settings.MANAGEMENT_ADDRESS, seconds),
    },
  };
}
