import { readFileSync, readdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { SagaState } from '../../shared/contract/saga.ts';
import { lxdCopy, lxdMove } from './lxd.ts';
import type { Way } from './move-names.ts';
import { type Script, byScript, churn } from './move-script.ts';
import { type Host, type Stage, management, mine, plain } from './move-stage.ts';
import { probed } from './prober.ts';
import type { Figures } from './report.ts';

function moveMine(...more: string[]) {
  return async (stage: Stage, from: Host, to: Host): Promise<Figures> => {
    const { lab, prober, on, at } = stage;
    const journals = `/var/lib/vslab-${lab.name}/master/state/sagas`;
    const before = new Set(readdirSync(journals));
    /** The move copies: its journal has come, and says so. */
    const copies = () =>
      readdirSync(journals).some(
        (file) =>
          file.startsWith('move-') &&
          !before.has(file) &&
          readFileSync(`${journals}/${file}`, 'utf8').includes('"step":"seed"'),
      );
    const { value, ...times } = await probed(lab, prober, mine.address, async () => {
      const moving = lab.vs(['move', mine.name, to, ...more, '--json'], 900_000);
      const over = moving.then(
        () => true,
        () => true,
      );
      while (!copies() && !(await Promise.race([over, sleep(5, false)])));
      const [last] = await Promise.all([moving, churn(stage, from, mine.tree)]);
      return JSON.parse(last) as SagaState;
    });
    if (value.result !== 'done') throw new Error(`the move ended ${value.result}: ${value.message}`);
    at[mine.name] = to;
    await on[from].run(`mine_trash ${mine.name}`);
    const down = value.steps.filter((step) => step.downtime).map((step) => [step.step, step.ms ?? NaN]);
    return {
      ...times,
      bytes: value.bytes ?? NaN,
      steps: Object.fromEntries(down) as Record<string, number>,
      sagaDowntimeMs: value.downtimeMs ?? NaN,
      transport: value.title.split(', ').at(-1) ?? '',
    };
  };
}

/** Without TLS, as the scripts: both ends share the cores of one machine, and a cipher would cost it twice. */
async function moveInTheClear(stage: Stage, from: Host, to: Host): Promise<Figures> {
  const { lab, on } = stage;
  const slaves = '/etc/vs-tools/slaves.conf';
  const script = (text: string) => lab.lab('exec', 'master', '--', 'sh', '-c', text);
  await script(
    `cp ${slaves} ${slaves}.kept; printf 'host1:transport=rsyncd\\nhost2:transport=rsyncd\\n' > ${slaves}`,
  );
  try {
    const isBtrfs = (await on[from].run('stat -f -c %T /var/lib/vservers')).trim() === 'btrfs';
    return await moveMine('--transport', isBtrfs ? 'btrfs-send' : 'rsyncd')(stage, from, to);
  } finally {
    await script(`mv ${slaves}.kept ${slaves}`);
  }
}

/** A script for the plain container: an empty place for its tree before, the old tree away after it. */
const movePlain = (script: Script) =>
  byScript(plain, {
    run: script.run,
    async before(stage, from, to) {
      await stage.on[to].run('plain_empty');
      await script.before?.(stage, from, to);
    },
    async after(stage, from, to) {
      await script.after?.(stage, from, to);
      await stage.on[from].run('plain_drop; sync -f "$TREE"');
    },
  });

const stop = `plain_stop ${plain.name}`;
const start = `plain_ready ${plain.name}; plain_boot ${plain.name}`;
const copy = (to: Host, live = '') => `plain_copy ${management[to]} ${live}`;

/** rsync while it runs so many times, then stop, rsync, start. */
const rsync = (passes: number): Script => ({
  async run(timed, from, to, churned) {
    let bytes = 0;
    for (let pass = 0; pass < passes; pass++) {
      const [sent] = await Promise.all([
        timed(`live ${pass}`, from, copy(to, 'live')),
        pass === 0 ? churned() : undefined,
      ]);
      bytes += Number(sent);
    }
    await timed('stop', from, stop);
    bytes += Number(await timed('final', from, copy(to)));
    await timed('start', to, start);
    return bytes;
  },
});

/** btrfs send of snapshots, two while it runs, the last after the stop. */
const send: Script = {
  before: ({ on }, _from, to) => on[to].run(`plain_serve ${management[to]}`),
  async run(timed, from, to, churned) {
    const one = (step: string, number: number) => timed(step, from, `plain_send ${management[to]} ${number}`);
    const [seed] = await Promise.all([one('live 0', 0), churned()]);
    const delta = await one('live 1', 1);
    await timed('stop', from, stop);
    const final = await one('final', 2);
    await timed('start', to, `plain_promote 2; ${start}`);
    return Number(seed) + Number(delta) + Number(final);
  },
  after: ({ on }, _from, to) => on[to].run('plain_unserve'),
};

/** The same through TLS; who takes the last stream listens before the stop. */
const sendByTls: Script = {
  async run(timed, from, to, churned) {
    const hear = (step: string) => timed(`${step}, listen`, to, `plain_hear_tls ${management[to]}`);
    const one = async (step: string, number: number) => {
      const sent = await timed(step, from, `plain_send_tls ${management[to]} ${number}`);
      await timed(`${step}, taken`, to, 'plain_took_tls');
      return Number(sent);
    };
    await hear('live 0');
    const [seed] = await Promise.all([one('live 0', 0), churned()]);
    await hear('live 1');
    const delta = await one('live 1', 1);
    await hear('live 2');
    await timed('stop', from, stop);
    const final = await one('final', 2);
    await timed('start', to, `plain_promote 2; ${start}`);
    return seed + delta + final;
  },
};

/** Stop and start elsewhere, of a tree that is there already, mounted: what no copy can go below. */
const floor: Script = {
  before: async ({ on }, from, to) => {
    await on[from].run(copy(to, 'live'), 900_000);
    await on[to].run(`plain_ready ${plain.name}`);
  },
  async run(timed, from, to) {
    await timed('stop', from, stop);
    await timed('start', to, `plain_boot ${plain.name}`);
    return 0;
  },
};

/** Each way moves its container once and tells what it cost. */
export const waysOf: Record<Way, (stage: Stage, from: Host, to: Host) => Promise<Figures>> = {
  floor: movePlain(floor),
  vs: moveMine(),
  'vs in the clear': moveInTheClear,
  'vs crash-consistent': moveMine('--crash-consistent'),
  'stop, rsync, start': movePlain(rsync(0)),
  'rsync, stop, rsync, start': movePlain(rsync(1)),
  'rsync, rsync, stop, rsync, start': movePlain(rsync(2)),
  'send, send, stop, send, start': movePlain(send),
  'send by TLS, send, stop, send, start': movePlain(sendByTls),
  'LXD stop, move, start': lxdMove,
  'LXD copy, refresh, stop, refresh, start': lxdCopy,
};
