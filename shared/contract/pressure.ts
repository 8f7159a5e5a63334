import { z } from 'zod';
import { alert } from './host.ts';
import { bytes, name } from './names.ts';

/** One that a host could do without, and the memory (bytes) that it would be rid of with it. */
export const wish = z.looseObject({ name, memory: bytes });
export type Wish = z.infer<typeof wish>;
/** `hosts/{host}/alerts/host/pressure`: with `evacuate` (PRESSURE=evacuate) the host asks the master to move one of them away, the first first. */
export const pressureAlert = alert.extend({ evacuate: z.array(wish).max(20).optional() });
