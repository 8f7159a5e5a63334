import { mkdir, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Call } from '../../shared/service.ts';
import { exec } from './exec.ts';
import { lineSplitter, shown } from './lines.ts';
import { makeGuestDirectory, removeGuestFiles, writeGuestFile } from './guest-files.ts';
import type { Lxc } from './lxc.ts';

const SCRIPT = '.vs-post-install';
/** So much of the output is kept (bytes), its beginning; and so many last lines are told. */
const MOST_LOG = 1024 * 1024;
const TAIL_LINES = 5;
/** Runs a script as root inside a running vserver, and keeps its output in `log`; answers its code and its last lines. */
export async function runScript(
  { lxc, rootfs, log }: { lxc: Lxc; rootfs: string; log: string },
  { name, script, timeout }: { name: string; script: string; timeout: number },
  call: Call,
): Promise<{ code: number; tail: string }> {
  await makeGuestDirectory(rootfs, 'root', 0o700);
  await writeGuestFile(rootfs, `root/${SCRIPT}`, script, 0o700);
  const command = script.startsWith('#!') ? [`/root/${SCRIPT}`] : ['/bin/sh', `/root/${SCRIPT}`];
  await mkdir(dirname(log), { recursive: true, mode: 0o700 });
  const handle = await open(log, 'w', 0o600);
  const tail: string[] = [];
  const lines = lineSplitter((line) => {
    const output = shown(line);
    if (!output) return;
    tail.push(output);
    if (tail.length > TAIL_LINES) tail.shift();
    call.progress({ message: output, output });
  });
  let written = 0;
  let writing = Promise.resolve();
  function keep(chunk: Buffer): void {
    const part = chunk.subarray(0, Math.max(0, MOST_LOG - written));
    written += chunk.length;
    // a full disk is no reason to end it
    if (part.length > 0) writing = writing.then(() => handle.writeFile(part)).catch(() => undefined);
  }
  try {
    const heard = {
      ...call,
      progress({ data }: Record<string, unknown>): void {
        if (typeof data !== 'string') return;
        const chunk = Buffer.from(data, 'base64');
        keep(chunk);
        lines.add(chunk);
      },
    };
    const { code } = await exec(lxc, { name, command, timeout }, heard);
    lines.end();
    return { code, tail: tail.join('\n') };
  } finally {
    await writing;
    await handle.sync().catch(() => undefined);
    await handle.close();
    await removeGuestFiles(rootfs, 'root', /^\.vs-post-install(?:\.vs-new)?$/).catch(() => undefined);
  }
}
