import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { SagaState } from '../../shared/contract/saga.ts';
import type { ScanRow } from '../../shared/contract/orchestrator.ts';
import { expect } from 'vitest';
import { leftoversScript } from '../../deploy/crash/leftovers.ts';

const cli = new URL('../../vs', import.meta.url).pathname;

/** A lab of its own for one real test, driven as a person would: by the command line. */
export function realLab(name: string) {
  const environment: NodeJS.ProcessEnv = { ...process.env };
  function vs(args: string[], expected: number | null = 0): { stdout: string; stderr: string; code: number } {
    const result = spawnSync(cli, args, {
      encoding: 'utf8',
      env: environment,
      timeout: 180_000,
      maxBuffer: 64e6,
    });
    if (expected !== null)
      expect(result.status, `vs ${args.join(' ')}: ${result.stdout}${result.stderr}`).toBe(expected);
    return { stdout: result.stdout, stderr: result.stderr, code: result.status ?? -1 };
  }
  async function answers(asked: string[], who: string): Promise<void> {
    for (const end = Date.now() + 60_000; vs(asked, null).code !== 0; await sleep(200))
      if (Date.now() > end) throw new Error(`${who} does not answer any more`);
  }
  const on = (host: string, script: string, expected: number | null = 0): string =>
    vs(['lab', 'exec', '--name', name, host, '--', 'bash', '-c', script], expected).stdout;
  const hosts = () =>
    (
      JSON.parse(vs(['lab', 'status', '--name', name, '--json']).stdout) as {
        nodes: { name: string; kind: string }[];
      }
    ).nodes
      .map((node) => node.name)
      .filter((one) => one !== 'master');
  return {
    name,
    cli,
    environment,
    vs,
    on,
    up(...flags: string[]): void {
      vs(['lab', 'down', '--name', name]);
      vs(['lab', 'up', '--name', name, ...flags]);
      for (const match of vs(['lab', 'env', '--name', name]).stdout.matchAll(/^export (\w+)=(.*)$/gm))
        environment[match[1] ?? ''] = match[2];
    },
    /** The pid of a process of a node, as this machine sees it. */
    pidOf(node: string, process: string): number {
      const status = JSON.parse(vs(['lab', 'status', '--name', name, '--json']).stdout) as {
        nodes: { name: string; processes: { name: string; pid: number }[] }[];
      };
      const found = status.nodes
        .find((one) => one.name === node)
        ?.processes.find((one) => one.name === process);
      if (!found) throw new Error(`${node} has no process ${process}`);
      return found.pid;
    },
    down: (): void => void vs(['lab', 'down', '--name', name]),
    /** The master answers again. `vs scan` would not tell: without a master it shows what the hosts reported last. */
    masterIsBack: () => answers(['saga', 'list'], 'the master'),
    /** The agent of a host answers again, in a life after one that was killed. */
    agentIsBack: (host: string) => answers(['call', host, 'host-agent.list'], `the agent of ${host}`),
    rows: () => JSON.parse(vs(['scan', '--json']).stdout) as ScanRow[],
    /** The newest saga, once it has ended. */
    async ended(within: number): Promise<SagaState> {
      const end = Date.now() + within;
      for (;;) {
        const { stdout, stderr, code } = vs(['saga', 'list', '--json'], null);
        const newest = code === 0 ? (JSON.parse(stdout) as SagaState[])[0] : undefined;
        if (newest && newest.result !== 'running') return newest;
        if (Date.now() > end) throw new Error(`no end of the saga within ${within} ms: ${stdout}${stderr}`);
        await sleep(300);
      }
    },
    /** Begins a move of web1 and answers its id once its journal says that a step has begun. */
    async begin(to: string, step: string, ...flags: string[]): Promise<string> {
      const { id } = JSON.parse(
        vs(['move', 'web1', to, ...flags, '--no-follow', '--json']).stdout,
      ) as SagaState;
      const journal = `/var/lib/vslab-${name}/master/state/sagas/${id}.jsonl`;
      for (const end = Date.now() + 120_000; Date.now() < end;) {
        const text = existsSync(journal) ? readFileSync(journal, 'utf8') : '';
        if (text.includes(`"kind":"started","step":"${step}"`)) return id;
        await sleep(5);
      }
      throw new Error(`move ${id} did not come to step ${step}`);
    },
    /** Hosts on which a vserver runs, by LXC itself. */
    running: (vserver: string): string[] =>
      hosts().filter((host) =>
        on(host, `lxc-info -P /var/lib/vservers -n ${vserver} -s 2>/dev/null || true`).includes('RUNNING'),
      ),
    /** The pool shows exactly one vserver web1, running, on this host. */
    async settled(host: string): Promise<void> {
      const end = Date.now() + 60_000;
      for (;;) {
        const rows = JSON.parse(vs(['scan', '--json']).stdout) as ScanRow[];
        const here = rows.filter((row) => row.vserver === 'web1');
        const is = here.length === 1 && here[0]?.host === host && here[0].state === 'running';
        // what the pool shows may be of before a kill: the host itself answers, too
        if (is && vs(['show', 'web1', '--host', host], null).code === 0) return;
        if (Date.now() > end) throw new Error(`the pool does not settle: ${JSON.stringify(rows)}`);
        await sleep(300);
      }
    },
    /** What a saga must not leave on any host: staging, snapshots, endpoints, locks, probes, foreign trees and mounts. */
    leftovers(): string[] {
      return hosts().flatMap((host) =>
        on(host, leftoversScript)
          .split('\n')
          .filter(Boolean)
          .map((line) => `${host}: ${line}`),
      );
    },
  };
}
