import type { Context } from '../../shared/service.ts';

/** `rests`: this host owns it, and no saga copies its tree, so that files may be written there; `busy`: one does; `away`: not here. */
export type Resting = 'rests' | 'busy' | 'away';
export type Rest = (name: string) => Promise<Resting>;

export const openRest =
  ({ bus, host }: Pick<Context, 'bus' | 'host'>): Rest =>
  (name) =>
    bus.request(host, 'host-agent.show', { name }).then(
      ({ state }) => (state.epoch === 0 ? 'away' : state.saga ? 'busy' : 'rests'),
      () => 'away',
    );
