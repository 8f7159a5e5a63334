import { createHash, timingSafeEqual } from 'node:crypto';

const digest = (text: string): Buffer => createHash('sha256').update(text).digest();

/** Are two secrets the same? In constant time, also when their lengths differ. */
export const same = (given: string, wanted: string): boolean =>
  timingSafeEqual(digest(given), digest(wanted));
