import { createReadStream } from 'node:fs';
import { lstat, mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { sha256Of } from '../../shared/checksum.ts';
import type { PackageInfo } from '../../shared/contract/update.ts';
import { VsError } from '../../shared/errors.ts';
import { comingOf, sealPackage } from '../../shared/packages.ts';
import type { Admitted } from './admission.ts';
import { END, sendFramed, takeFramed } from './frames.ts';
import { answer, readLine, wrongIn } from './hello.ts';
import type { meter } from './progress.ts';
import { taking } from './taking.ts';
import { type Way, openWire } from './wire.ts';

/** The certificate that alone may send packages: what comes so is installed as root. */
export const SENDER = 'master';

/** Target: takes one package; what is longer, or has another checksum than was said before, is not kept. */
export async function receivePackage(
  admitted: Admitted,
  directory: string,
  { file, bytes, sha256 }: PackageInfo,
  { signal, onLog }: { signal: AbortSignal; onLog: (line: string) => void },
): Promise<void> {
  const { wire, words } = admitted;
  await taking(admitted, signal, async () => {
    if (words[0] !== 'package') throw new VsError('refused', 'a transfer came that is none of a package');
    await mkdir(directory, { recursive: true, mode: 0o700 });
    const coming = comingOf(directory, file);
    await rm(coming, { force: true }); // of a try that was cut off
    wire.write(answer());
    try {
      await takeFramed(wire, coming, bytes);
      const { size } = await lstat(coming);
      if (size !== bytes) throw new VsError('failed', `${file} has ${size} bytes instead of ${bytes}`);
      if ((await sha256Of(coming, signal)) !== sha256)
        throw new VsError('failed', `${file} arrived damaged: its checksum is not ${sha256}`);
      await sealPackage(directory, file);
    } catch (error) {
      await rm(coming, { force: true });
      onLog(String(error));
      wire.end(answer((error as Error).message));
      return;
    }
    wire.end(answer());
  });
}

/** The master: sends a package; done when the host has it whole, on its disk. */
export async function sendPackage(
  way: Way,
  directory: string,
  { file }: PackageInfo,
  count: ReturnType<typeof meter>,
): Promise<void> {
  const wire = await openWire(way, ['package']);
  const word = readLine(wire);
  word.catch(() => undefined);
  try {
    await sendFramed(createReadStream(join(directory, file)), wire, { signal: way.signal }, count);
    wire.end(END);
    const wrong = wrongIn(await word);
    if (wrong !== undefined) throw new VsError('failed', `${way.toHost} did not take ${file}: ${wrong}`);
  } catch (error) {
    wire.destroy();
    if (error instanceof VsError) throw error;
    throw new VsError(
      'failed',
      `${file} was cut off on its way to ${way.toHost}: ${(error as Error).message}`,
      {
        retryable: true,
        cause: error,
      },
    );
  }
}
