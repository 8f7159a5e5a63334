import { setTimeout as sleep } from 'node:timers/promises';
import type { Container, Host, Stage } from './move-stage.ts';
import { probed } from './prober.ts';
import type { Figures } from './report.ts';

/** So long after the begin of the first copy the files change (ms): while it runs. */
const CHURN_AFTER = 1000;

/** The same changes for every way: 1 % of the files and 50 MB, while the first copy runs. */
export async function churn({ lab }: Stage, host: Host, tree: string): Promise<void> {
  await sleep(CHURN_AFTER);
  const script = new URL('./ways.sh', import.meta.url).pathname;
  await lab.lab('exec', host, '--', 'bash', '-c', `ROOT=. ; . '${script}'; tree_churn '${tree}'`);
}

/** Runs lines on a host and keeps how long they took. */
export type Timed = (step: string, host: Host, line: string) => Promise<string>;

export interface Script {
  /** Before the time is taken. */
  before?: (stage: Stage, from: Host, to: Host) => Promise<unknown>;
  /** What is timed; answers the bytes that went over the wire. Steps named `live ...` are not part of the downtime. */
  run(timed: Timed, from: Host, to: Host, churned: () => Promise<void>): Promise<number>;
  /** After the time is taken: the old tree away. */
  after?: (stage: Stage, from: Host, to: Host) => Promise<unknown>;
}

/** A container moved by a script through the open shells on the hosts. */
export function byScript(container: Container, script: Script) {
  return async (stage: Stage, from: Host, to: Host): Promise<Figures> => {
    const { lab, prober, on, at } = stage;
    await script.before?.(stage, from, to);
    await on[to].run('sync -f /var/lib/vservers');
    const steps: Record<string, number> = {};
    const timed: Timed = async (step, host, line) => {
      const begun = performance.now();
      const output = await on[host].run(line, 900_000);
      steps[step] = Math.round(performance.now() - begun);
      return output;
    };
    const { value, ...times } = await probed(lab, prober, container.address, () =>
      script.run(timed, from, to, () => churn(stage, from, container.tree)),
    );
    at[container.name] = to;
    await script.after?.(stage, from, to);
    for (const step of Object.keys(steps)) if (step.startsWith('live')) delete steps[step];
    return { ...times, bytes: value, steps };
  };
}
