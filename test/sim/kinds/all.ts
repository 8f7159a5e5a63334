import { backups } from './backup.ts';
import type { Kind } from './kind.ts';
import { moves } from './move.ts';
import { newcomers } from './newcomer.ts';
import { others } from './other.ts';
import { recover } from './recover.ts';

/** Every saga that is simulated. */
export const kinds: Record<string, Kind> = { ...moves, ...newcomers, ...others, recover, ...backups };
