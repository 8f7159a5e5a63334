import { chmod, lstat, mkdir, unlink } from 'node:fs/promises';
import { connect } from 'node:net';
import { dirname } from 'node:path';
import { VsError } from '../errors.ts';

/** Longer paths of sockets are cut by the kernel (unix(7)). */
const LONGEST = 107;

/** Does a process listen there? */
const answers = (path: string): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect({ path });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });

/**
 * The directory of a socket, which only this user can enter, without the socket of a former life. Throws VsError for a path
 * that others have a hand in, or at which another process answers.
 */
export async function clearPlace(path: string): Promise<void> {
  if (Buffer.byteLength(path) > LONGEST)
    throw new VsError(
      'usage',
      `${path} (AGENT_SOCKET) is longer than the ${LONGEST} bytes of a socket's path`,
    );
  const directory = dirname(path);
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const found = await lstat(directory);
  if (!found.isDirectory() || found.uid !== process.getuid?.())
    throw new VsError('refused', `${directory} is no directory of this user, so no socket is opened in it`);
  if ((found.mode & 0o077) !== 0) await chmod(directory, 0o700);
  const old = await lstat(path).catch(() => undefined);
  if (!old) return;
  if (!old.isSocket()) throw new VsError('refused', `${path} is there already, and is no socket`);
  if (await answers(path)) throw new VsError('conflict', `another process answers at ${path} already`);
  await unlink(path);
}
