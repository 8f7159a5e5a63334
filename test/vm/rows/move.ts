import { hostOf, note, probed, proofs, row, say, slow, tagsOf, vms, web1 } from '../kit.ts';
import { reachedAll } from './wire.ts';

/** VS_TEST_FULL=1: the medians of more than one; each takes up to a minute, and they are figures that no row depends on. */
const full = process.env['VS_TEST_FULL'] === '1';

interface Told {
  downtimeMs?: number;
  steps?: { step: string; ms?: number; downtime?: boolean }[];
}
const median = (values: number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;

/** How long web1 does not answer (ms), as VLAN 20 sees it, while `script` runs; so many times. */
async function gaps(machine: string, script: string, times: number): Promise<number[]> {
  const all: number[] = [];
  for (let run = 0; run < times; run++) {
    const { gapMs } = await probed(vms(), web1, async () => {
      await vms().on(machine, script, slow);
    });
    all.push(gapMs);
    say(`${script.split(' ').slice(0, 3).join(' ')}: ${gapMs} ms without an answer`);
  }
  return all;
}

export function moveRows(): void {
  proofs('web1 moves from VM to VM over the tagged trunk', async () => {
    const source = await hostOf('web1');
    const target = source === 'host1' ? 'host2' : 'host1';
    const lxc = '-P /var/lib/vservers -n web1';
    const bare = await gaps(source, `lxc-stop ${lxc}; lxc-start ${lxc}`, full ? 2 : 1);
    const floors = await gaps('master', 'vs restart web1', full ? 3 : 1);
    const since = Date.now();
    let told: Told = {};
    const { gapMs, answered } = await probed(vms(), web1, async () => {
      told = JSON.parse((await vms().on('master', `vs move web1 ${target} --json`, slow)).stdout) as Told;
    });
    await row(`moved to ${target}: reached by its gateway and from VLAN 20`, reachedAll);
    await row('after the move the wire has tag 10 alone of web1', async () => {
      const frames = (await vms().sent(target, since)).filter(({ addresses }) => addresses?.includes(web1));
      return {
        held: frames.length > 0 && tagsOf(frames) === '10',
        figure: `${frames.length} frames of ${target}, tags ${tagsOf(frames)}`,
      };
    });
    await row('the old host has nothing of it on the wire', async () => {
      const frames = (await vms().sent(source, Date.now() - 2000)).filter(({ addresses }) =>
        addresses?.includes(web1),
      );
      return { held: frames.length === 0, figure: `${frames.length} frames of ${source}` };
    });
    const floor = median(floors);
    note(
      'downtime of the move, as VLAN 20 saw it',
      undefined,
      `${gapMs} ms (${told.downtimeMs ?? '?'} by the saga, ${answered} answers); stop and start by the agent: ${floor} ms (${floors.join(', ')}), by LXC alone: ${median(bare)} ms (${bare.join(', ')}): ${(gapMs / floor).toFixed(1)} times the agent's`,
    );
    const down = (told.steps ?? []).filter(({ downtime }) => downtime);
    note('of it, by step (ms)', undefined, down.map(({ step, ms }) => `${step} ${ms ?? '?'}`).join(', '));
  });
}
