import { Duplex } from 'node:stream';
import { VsError } from '../../shared/errors.ts';
import { start } from '../../shared/run.ts';

/** Marks our processes for orphans.ts; the variable is never set, so nothing is sent by it (ssh_config(5)). */
export const sshMark = '-oSendEnv=VS_TRANSFER';

/**
 * The driver of ssh. It carries a stream to a port of the other host's loopback (-W, ssh(1)) and runs nothing there, so no
 * value comes to a shell, and a key that may do nothing but that is enough. Who may log in is for the two hosts' admins to set up.
 */
export const sshArgv = (address: string, port: number): string[] => [
  'ssh',
  '-oBatchMode=yes',
  '-oStrictHostKeyChecking=yes',
  '-oUpdateHostKeys=no',
  '-oConnectTimeout=10',
  '-oServerAliveInterval=15',
  '-oServerAliveCountMax=4',
  '-oForwardAgent=no',
  '-oControlPath=none',
  '-oPermitLocalCommand=no',
  sshMark,
  '-W',
  `127.0.0.1:${port}`,
  '--',
  `root@${address}`,
];

/** A stream through ssh; what ssh says when it fails is the error of the stream. */
export function openSsh(address: string, port: number): Duplex {
  const child = start(sshArgv(address, port), { stdio: ['pipe', 'pipe', 'pipe'] });
  const { stdin, stdout, stderr } = child;
  if (!stdin || !stdout || !stderr) throw new VsError('internal', 'ssh without streams');
  stdin.on('error', () => undefined); // ssh may end before it has read all
  let said = '';
  stderr.on('data', (chunk: Buffer) => (said = (said + chunk.toString()).slice(-2000)));
  const wire = new Duplex({
    allowHalfOpen: true,
    read: () => stdout.resume(),
    write: (chunk: Buffer, _encoding, done) => void stdin.write(chunk, () => done()),
    final: (done) => void stdin.end(() => done()),
    destroy(error, done) {
      child.kill('SIGTERM');
      done(error);
    },
  });
  stdout.on('data', (chunk: Buffer) => {
    if (!wire.push(chunk)) stdout.pause();
  });
  const failed = (reason: string) => {
    const mend = /denied|verification failed|prohibited/i.test(reason);
    const hint = mend ? '; docs/copying.md says what both hosts need' : '';
    wire.destroy(
      new VsError('failed', `ssh to root@${address} failed: ${reason}${hint}`, { retryable: !mend }),
    );
  };
  child.once('error', (error) => failed(error.message));
  child.once('close', (code) => {
    if (wire.destroyed) return;
    if (code === 0) wire.push(null);
    else failed(said.trim().split('\n').at(-1) || `it ended with exit code ${code}`);
  });
  return wire;
}
