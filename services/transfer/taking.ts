import type { Admitted } from './admission.ts';

/** Target: takes what comes through a connection that was admitted, which ends when that is given up or fails. */
export async function taking(
  { wire }: Admitted,
  signal: AbortSignal,
  work: () => Promise<void>,
): Promise<void> {
  const giveUp = () => wire.destroy();
  signal.addEventListener('abort', giveUp, { once: true });
  try {
    await work();
  } catch (error) {
    wire.destroy();
    throw error;
  } finally {
    signal.removeEventListener('abort', giveUp);
  }
}
