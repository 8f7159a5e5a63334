import { stat } from 'node:fs/promises';
import type { Paths } from '../../shared/paths.ts';
import type { Context } from '../../shared/service.ts';

/**
 * Clears the retained state of vservers that this host has no more: a former life that lost its power between the move
 * of a tree and the news of it could not.
 */
export async function clearStale(context: Context, paths: Paths): Promise<void> {
  const { bus, host, log } = context;
  await bus.subscribe(bus.topics.vserverState(host, '+'), (topic, payload) => {
    if (payload === null) return;
    const name = topic.split('/').at(-2) ?? '';
    stat(paths.vserverJson(name)).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') return;
      log.info({ vserver: name }, 'the state of a vserver that is here no more was cleared');
      bus.retain(topic, null);
    });
  });
}
