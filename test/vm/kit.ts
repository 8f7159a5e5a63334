import { appendFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { longestGap } from '../../deploy/lab/probe.ts';
import type { Frame } from '../../deploy/vmlab/frames.ts';
import { type VmLab, attach, up } from '../../deploy/vmlab/lab.ts';
import type { Suite } from '../../deploy/vmlab/recipe.ts';
import { proberAt } from '../../deploy/vmlab/units.ts';

const begun = Date.now();
/** A line of progress with the time since the start. */
export const say = (text: string): void =>
  void process.stdout.write(`${((Date.now() - begun) / 1000).toFixed(0).padStart(4)} s  ${text}\n`);

/** Notes a line of the table at the end; without `held` it is a figure and no proof. */
export function note(name: string, held: boolean | undefined, figure: string): void {
  say(`${held === undefined ? 'figure' : held ? 'ok' : 'FAILED'}: ${name}: ${figure}`);
  const file = process.env['VS_VM_PROOFS'];
  if (file)
    appendFileSync(file, `${JSON.stringify({ name, ...(held === undefined ? {} : { held }), figure })}\n`);
}

/** The rows of the test that runs which did not hold. */
let failed: string[] = [];

/** A row of the table: whether it held, and the figure. One that does not hold, or throws, hides no other: the test is red at its end. */
export async function row(
  name: string,
  prove: () => Promise<{ held: boolean; figure: string }>,
): Promise<void> {
  const { held, figure } = await prove().catch((error: unknown) => ({
    held: false,
    figure: String(error instanceof Error ? error.message : error)
      .split('\n')
      .join('; ')
      .slice(0, 300),
  }));
  note(name, held, figure);
  if (!held) failed.push(`${name}: ${figure}`);
}

/** A test of rows. What it needs before them and does not get is a row that did not hold. */
export function proofs(title: string, body: () => Promise<void>): void {
  // oxlint-disable-next-line vitest/valid-title -- the caller's string
  test(title, async () => {
    failed = [];
    let broken: unknown;
    await body().catch((error: unknown) => (broken = error));
    if (broken !== undefined)
      await row(title, () => Promise.reject(broken instanceof Error ? broken : new Error(String(broken))));
    expect(failed, 'rows that did not hold').toEqual([]);
  });
}

/** Waits until a script ends with 0, and answers how long that took, in ms. */
export async function until(lab: VmLab, name: string, script: string, within: number): Promise<number> {
  const start = Date.now();
  for (;;) {
    const { code, stdout, stderr } = await lab.on(name, script, { ok: anyCode });
    if (code === 0) return Date.now() - start;
    if (Date.now() - start > within)
      throw new Error(`${name}: not within ${within} ms: ${script}\n${stdout}${stderr}`);
    await sleep(500);
  }
}
export const anyCode = [...Array(256).keys()];

/** Has a VM its settings? Those of a run that was kept have them. */
const isDone = async (lab: VmLab, name: string): Promise<boolean> =>
  (await lab.on(name, 'test -e /etc/vs-tools/vs-tools.conf', { ok: anyCode })).code === 0;

const LONG = { timeoutMs: 900_000 };

/** The master's authority, a token for each host, and the agents come: as docs/install.md makes a pool. */
async function form(lab: VmLab): Promise<void> {
  if (!(await isDone(lab, 'master'))) await lab.on('master', 'vs master init --name 10.97.0.1 --yes', LONG);
  await lab.on('master', 'systemctl start vs-broker vs-master', LONG);
  say('the master has its authority; broker and master start');
  // who asks a processor that is emulated for Node again and again has it for nothing else
  await until(lab, 'master', '[ -S /run/vs/broker.sock ]', LONG.timeoutMs);
  await until(lab, 'master', 'vs saga list', LONG.timeoutMs); // vs scan ends well without a master
  say('the master answers');
  const hosts = lab.machines.filter((one) => one.role === 'host').map((one) => one.name);
  const joined: string[] = [];
  // one after the other: a handshake has 10 s, and is not tried again as the agents do theirs
  for (const host of hosts) {
    if (await isDone(lab, host)) continue;
    const line = (await lab.on('master', `vs host token ${host}`, LONG)).stdout;
    const [, command = ''] = /(vs join \S+ --token \S+)/.exec(line) ?? [];
    expect(command, line).not.toBe('');
    await lab.on(host, command, LONG);
    say(`${host} has joined`);
    joined.push(host);
  }
  await Promise.all(joined.map((host) => lab.on(host, 'systemctl start vs-agent', LONG)));
  for (const host of hosts) await until(lab, host, '[ -S /run/vs/.agent/socket ]', LONG.timeoutMs);
  await until(lab, 'master', `[ "$(vs host list | grep -c ' online ')" = ${hosts.length} ]`, LONG.timeoutMs);
  say(`${hosts.length} hosts are online`);
}

/** The pool in VMs, or in those of VS_VM_ATTACH. */
export async function pool(): Promise<VmLab> {
  const kept = process.env['VS_VM_ATTACH'];
  const suite = (process.env['VS_VM_SUITE'] ?? 'trixie') as Suite;
  const lab = kept ? await attach(kept) : await up({ suite, say });
  try {
    await form(lab);
    return lab;
  } catch (error) {
    if (!kept && process.env['VS_VM_KEEP'] !== '1') await lab.down();
    throw error;
  }
}

/** Runs `during` while the client of VLAN 20 asks an address; answers the longest time without an answer, in ms. */
export async function probed(
  lab: VmLab,
  address: string,
  during: () => Promise<void>,
): Promise<{ gapMs: number; answered: number }> {
  const end = '/run/vmlab-probed';
  const probing = lab.on(
    'master',
    `rm -f ${end}; exec ip netns exec client perl ${proberAt} ${address} 80 1800 ${end}`,
    { timeoutMs: 1_860_000 },
  );
  await sleep(4000);
  try {
    await during();
    await sleep(4000);
  } finally {
    await lab.on('master', `touch ${end}`);
  }
  const { stdout } = await probing;
  const marks = stdout.split('\n').flatMap((line) => {
    const [, mark = ''] = /^(?:begun |ended )?(\d+\.\d+)$/.exec(line) ?? [];
    return mark ? [Number(mark) * 1000] : [];
  });
  return { gapMs: longestGap(marks).ms, answered: marks.length - 2 };
}

let current: VmLab | undefined;
export const isUp = (): boolean => current !== undefined;
/** The pool that all rows are about. */
export const vms = (): VmLab => {
  if (!current) throw new Error('the VMs are not up');
  return current;
};
export const begin = async (make: () => Promise<VmLab> = pool): Promise<VmLab> => (current = await make());

export const web1 = '10.60.10.5';
export const slow = { timeoutMs: 900_000 };
/** Runs a script of sh in a VM, whatever it ends with. */
export const at = (machine: string, script: string) => vms().on(machine, script, { ok: anyCode, ...slow });
/** The same in the client of VLAN 20. */
export const asClient = (script: string) => at('master', `ip netns exec client ${script}`);
export const reached = async (script: string): Promise<boolean> => (await asClient(script)).code === 0;
/** The pid of a vserver's init, for a script of its host. */
export const init = (name: string): string => `$(lxc-info -P /var/lib/vservers -n ${name} -p -H)`;
/** Runs a command in a vserver from its host, without a Node in between: that is a second of an emulated processor. */
export const inside = (host: string, name: string, command: string) =>
  at(host, `lxc-attach -P /var/lib/vservers -n ${name} -- ${command}`);
/** The host where a vserver runs. */
export async function hostOf(name: string): Promise<string> {
  for (const { name: host, role } of vms().machines)
    if (
      role === 'host' &&
      (await at(host, `test "$(lxc-info -P /var/lib/vservers -n ${name} -s -H)" = RUNNING`)).code === 0
    )
      return host;
  throw new Error(`${name} runs on no host`);
}
/** The Ethernet address of a vserver. */
export const macOf = async (host: string, name: string): Promise<string> =>
  (await inside(host, name, 'cat /sys/class/net/eth0/address')).stdout.trim();
/** The tags of frames, each once. */
export const tagsOf = (frames: Frame[]): string =>
  [...new Set(frames.map(({ vlan }) => vlan ?? 'untagged'))].toSorted().join(', ');
