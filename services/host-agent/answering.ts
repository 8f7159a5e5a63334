import { VsError } from '../../shared/errors.ts';
import type { Context } from '../../shared/service.ts';
import type { Lifecycle } from './lifecycle.ts';
import type { Lxc } from './lxc.ts';

/** Waits until a vserver runs and has an init that stays; answers how long that took, in ms. */
export async function waitAnswering(
  context: Context,
  parts: { lxc: Lxc; life: Lifecycle },
  name: string,
  timeout: number,
): Promise<{ ms: number }> {
  const begun = Date.now();
  const vserver = await parts.life.load(name);
  for (;;) {
    const { state } = await parts.lxc.info(name);
    if (state === 'running') {
      const { answers } = await context.bus.request(context.host, 'network.check', {
        network: vserver.network,
        address: vserver.address,
      });
      if (answers === vserver.mac) return { ms: Date.now() - begun };
      if (answers !== null)
        throw new VsError(
          'failed',
          `${vserver.address} answers from ${answers}, which is not ${name} (${vserver.mac})`,
        );
    }
    if (Date.now() - begun > timeout)
      throw new VsError(
        'failed',
        `${name} ${state === 'running' ? `does not answer at ${vserver.address}` : `is ${state}`} after ${timeout / 1000} s`,
      );
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
