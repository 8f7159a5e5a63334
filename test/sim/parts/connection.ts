// shared/bus/connection.ts, as the simulated processes see it
import type { Connection } from '../../../shared/bus/connection.ts';
import type { ClientOptions } from '../client.ts';
import { currentLife, theWorld } from '../current.ts';

export const openConnection = (options: ClientOptions): Connection =>
  theWorld().broker.connect(currentLife(), options);
