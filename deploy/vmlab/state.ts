import { createHash } from 'node:crypto';
import { copyFile, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { VsError } from '../../shared/errors.ts';
import { run } from '../../shared/run.ts';
import { blankFiles, blankMark } from './blank.ts';
import { launch, makeDisks, makeKeys, waitForMark } from './begin.ts';
import { cacheDirectory, cached } from './cache.ts';
import { closeRun, openRun } from './directory.ts';
import { type Start, qemuCommand } from './machine.ts';
import { blankMachine } from './model.ts';
import { qmp } from './qmp.ts';
import { quote } from './quote.ts';
import { writeSeed } from './seed.ts';

/** What a VM starts from: the disk below its own and, if it goes on from there, the state that belongs to that disk. */
export interface Base {
  disk: string;
  state?: string | undefined;
}

/** Raised when this file makes something else of the same image. */
const generation = 2;

/** The command of the blank VM. */
const blankCommand = (directory: string, boot: string, disks: Start['disks']): string[] =>
  qemuCommand(
    blankMachine,
    {
      directory,
      boot,
      disks,
      ssh: undefined,
      number: 0,
      machineId: '5'.repeat(32),
      accelerator: 'tcg',
    },
    false,
  );

/** Another QEMU, image, board or blank VM has another state. */
async function keyOfState(boot: string): Promise<string> {
  const keys = { authorized: '', host: '', hostPublic: '' };
  const disks = { root: '', seed: '', layer: '', vservers: '', spare: '' };
  const parts = [
    generation,
    (await run(['qemu-system-x86_64', '--version'])).stdout,
    await readFile(join(boot, 'sha256.json'), 'utf8'),
    blankCommand('', boot, disks),
    blankFiles(keys),
  ];
  return `state-${createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 16)}`;
}

/** Boots the blank VM, and keeps its memory and what it wrote on its disk. */
async function makeState(boot: string, to: string): Promise<void> {
  const directory = await openRun();
  const { name } = blankMachine;
  const socket = join(directory, `${name}.qmp`);
  try {
    await writeSeed(blankMachine, [], await makeKeys(directory), join(directory, `${name}.tar`));
    const disks = await makeDisks(directory, name, join(boot, 'disk.qcow2'));
    await launch(directory, name, blankCommand(directory, boot, disks));
    await waitForMark({ directory, name }, blankMark, 0, 900_000);
    await sleep(3000); // what it still does at the end of its boot
    await qmp(socket, 'stop');
    await qmp(socket, 'migrate', { uri: `exec:exec zstd -q -1 -f -o ${quote(join(to, 'state.zst'))}` });
    for (let tries = 0; ; tries++) {
      const { status } = (await qmp(socket, 'query-migrate')) as { status: string };
      if (status === 'completed') break;
      if (status === 'failed' || tries > 600)
        throw new VsError('failed', `QEMU did not write the state of a VM: ${status}`);
      await sleep(500);
    }
    await qmp(socket, 'quit');
    await copyFile(disks.root, join(to, 'booted.qcow2'));
  } finally {
    await closeRun(directory);
  }
}

/** The state of a VM that has booted from an image by emulation: from the cache, or made now. */
export async function stateOf(boot: string, say: (text: string) => void): Promise<Base> {
  const { directory, made } = await cached(cacheDirectory(), await keyOfState(boot), async (to) => {
    say('image: one VM boots, of whose state the others go on');
    await makeState(boot, to);
  });
  say(made ? `state: made in ${directory}` : `state: ${directory} from the cache`);
  return { disk: join(directory, 'booted.qcow2'), state: join(directory, 'state.zst') };
}
