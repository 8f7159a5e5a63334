import { readFile } from 'node:fs/promises';
import type { Finding } from '../../shared/contract/doctor.ts';
import type { Ownership, VserverConfig, VserverState } from '../../shared/contract/vserver.ts';
import { about } from './finding.ts';

const RANGE = 65_536;

/** Users of the host whose ids are those of a guest's files: they could read what they reach. */
export function judgeIds(passwd: string, starts: number[]): Finding[] {
  const { ok, warn } = about('ids');
  const users = passwd
    .split('\n')
    .map((line) => line.split(':'))
    .flatMap(([name = '', , uid]) => (name && uid ? [{ name, uid: Number(uid) }] : []));
  const inside = users.filter(({ uid }) => starts.some((start) => uid >= start && uid < start + RANGE));
  if (inside.length === 0) return [ok('no user of this host has an id that processes of vservers have')];
  return inside.map(({ name, uid }) =>
    warn(
      `user ${name} (${uid}) of this host has the same id as processes of vservers`,
      `give it another id: usermod -u NUMBER ${name}`,
      name,
    ),
  );
}

/** Files and records must agree about what this host owns. */
export function judgeOwnership(vservers: VserverState[], records: Ownership[]): Finding[] {
  const { ok, warn, fail } = about('vservers');
  const findings: Finding[] = [];
  for (const { name, owner, uuid } of records) {
    const here = vservers.find((one) => one.name === name);
    if (owner && (!here || here.uuid !== uuid) && here?.saga === undefined)
      findings.push(
        fail(
          `this host owns ${name}, but has ${here ? 'the files of another one' : 'no files of it'}`,
          `look for them in the trash (vs trash list --name ${name}) and on the master (vs copies list)`,
          name,
        ),
      );
  }
  for (const one of vservers)
    if (one.epoch === 0 && !one.saga)
      findings.push(
        warn(
          `there are files of ${one.name}, which this host does not own`,
          `look into them, then: vs remove ${one.name} --host ${one.host}`,
          one.name,
        ),
      );
    else if (one.state === 'broken' || one.state === 'unknown')
      findings.push(fail(`${one.name} is ${one.state}`, `vs show ${one.name}`, one.name));
  if (findings.length === 0) findings.push(ok(`${vservers.length} here, each owned and whole`));
  return findings;
}

/** The starts of the ranges of ids in use: that of new vservers, and those of the ones here. */
export const idStarts = (configs: Pick<VserverConfig, 'idmap'>[]): number[] => [
  // 0: privileged, with the ids of the host on purpose
  ...new Set([100_000, ...configs.map((one) => one.idmap).filter((start) => start > 0)]),
];

export const passwd = (): Promise<string> => readFile('/etc/passwd', 'utf8');
