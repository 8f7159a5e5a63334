import { appendFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import { longestGap } from '../../deploy/lab/probe.ts';
import { type VmLab, attach, up } from '../../deploy/vmlab/lab.ts';
import type { Suite } from '../../deploy/vmlab/recipe.ts';

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

/** Proves something: notes what was found, and fails the test when it is not so. */
export function expectProof(name: string, held: boolean, figure: string): void {
  note(name, held, figure);
  expect(held, `${name}: ${figure}`).toBe(true);
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

/** The master's authority, a token for each host, and the agents come: as docs/install.md makes a pool. */
async function form(lab: VmLab): Promise<void> {
  if (!(await isDone(lab, 'master')))
    await lab.on('master', 'vs master init --name 10.97.0.1 --yes', { timeoutMs: 600_000 });
  await lab.on('master', 'systemctl start vs-broker vs-master');
  say('the master has its authority; broker and master start');
  await until(lab, 'master', 'vs scan', 600_000);
  say('the master answers');
  const hosts = lab.machines.filter((one) => one.role === 'host').map((one) => one.name);
  for (const host of hosts) {
    if (await isDone(lab, host)) continue;
    const line = (await lab.on('master', `vs host token ${host}`)).stdout;
    const [, command = ''] = /(vs join \S+ --token \S+)/.exec(line) ?? [];
    expect(command, line).not.toBe('');
    await lab.on(host, command, { timeoutMs: 600_000 });
    await lab.on(host, 'systemctl start vs-agent');
    say(`${host} has joined`);
  }
  await until(lab, 'master', `[ "$(vs host list | grep -c ' online ')" = ${hosts.length} ]`, 600_000);
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
  const prober = '/usr/lib/vs-tools/deploy/vmlab/prober.pl';
  const end = '/run/vmlab-probed';
  const probing = lab.on(
    'master',
    `rm -f ${end}; exec ip netns exec client perl ${prober} ${address} 80 900 ${end}`,
    { timeoutMs: 960_000 },
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
