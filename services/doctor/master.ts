import { loadBackups } from '../../config/backup.ts';
import { loadCreate } from '../../config/create.ts';
import { loadNetworks } from '../../config/networks.ts';
import { loadSlaves } from '../../config/slaves.ts';
import type { Data } from '../../shared/contract/commands.ts';
import type { Finding } from '../../shared/contract/doctor.ts';
import type { Context, Service } from '../../shared/service.ts';
import { judgeEnd, lookAtCertificate } from './certificate.ts';
import { compareVersions } from '../../shared/versions.ts';
import { about, tried } from './finding.ts';
import { spaceOf } from './storage.ts';

type Hosts = Data<'orchestrator.hosts'>['hosts'];

/** Hosts that are away, of another version, or whose certificate was not renewed. */
export function judgeHosts(hosts: Hosts, version: string, now: number): Finding[] {
  const { ok, warn, fail } = about('hosts');
  const findings: Finding[] = [];
  for (const one of hosts) {
    const { host } = one;
    if (one.state === 'offline')
      findings.push(
        fail(`${host} is offline`, `look at it; if it is dead for good: vs recover NAME --host HOST`, host),
      );
    else if (one['version'] !== version)
      findings.push(
        warn(
          `${host} runs vs-tools ${String(one['version'])}, the master ${version}`,
          compareVersions(String(one['version']), version) < 0
            ? `vs master update-hosts ${host}`
            : 'upgrade the master',
          host,
        ),
      );
    if (one['evacuated']) findings.push(warn(`${host} is evacuated`, `vs restore-host ${host}`, host));
    const certificate = one['certificate'] as { from: number; ends: number } | undefined;
    if (certificate) {
      const end = judgeEnd(certificate.ends, certificate.ends - certificate.from, now);
      if (end.result !== 'ok') findings.push({ ...end, subject: host });
    }
  }
  if (findings.length === 0) findings.push(ok(`${hosts.length} online, all of version ${version}`));
  return findings;
}

/** Sagas that wait for a person. */
export function judgeSagas({ sagas, damaged = [] }: Data<'orchestrator.sagas'>): Finding[] {
  const { ok, fail } = about('sagas');
  const findings = sagas
    .filter((one) => one.result === 'stuck')
    .map((one) =>
      fail(
        `${one.id} is stuck: ${one.message ?? one.title}`,
        `vs saga show ${one.id}; then vs saga resume ${one.id}`,
        one.id,
      ),
    );
  for (const { id, message } of damaged)
    findings.push(fail(message, 'docs/sagas.md says what to do with a damaged journal', id));
  if (findings.length > 0) return findings;
  const running = sagas.filter((one) => one.result === 'running').length;
  return [ok(running === 0 ? 'none runs, none is stuck' : `${running} run, none is stuck`)];
}

/** The doctor of the master: its own files and disk, and what it knows of its hosts and sagas. */
export function service(context: Context): Service {
  const { bus, settings, version } = context;
  async function files(): Promise<Finding[]> {
    const { ok, fail } = about('files');
    const findings: Finding[] = [];
    const readers = {
      'networks.conf': loadNetworks,
      'slaves.conf': loadSlaves,
      'create.conf': loadCreate,
      'backup.conf': loadBackups,
    };
    for (const [file, load] of Object.entries(readers))
      try {
        await load(settings);
      } catch (error) {
        findings.push(fail((error as Error).message, 'mend that line', file));
      }
    if (findings.length === 0) findings.push(ok(Object.keys(readers).join(', ')));
    return findings;
  }
  return {
    name: 'master-doctor',
    handlers: {
      'master-doctor.look': async () => {
        const checks: [string, () => Promise<Finding[]>][] = [
          ['files', files],
          ['storage', async () => [await spaceOf(settings.STATE_DIR)]],
          ['certificate', () => lookAtCertificate(settings)],
          [
            'hosts',
            async () =>
              judgeHosts((await bus.request('master', 'orchestrator.hosts', {})).hosts, version, Date.now()),
          ],
          [
            'sagas',
            async () =>
              judgeSagas(await bus.request('master', 'orchestrator.sagas', { running: true, limit: 1000 })),
          ],
        ];
        const all = await Promise.all(checks.map(([name, look]) => tried(name, look)));
        return { findings: all.flat(), ts: Date.now() };
      },
    },
  };
}
