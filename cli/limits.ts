import type { Command } from 'commander';
import { limitParsers } from '../config/create.ts';
import type { LimitChanges, LimitKey } from '../shared/contract/limits.ts';
import { VsError } from '../shared/errors.ts';
import { limitTable } from '../shared/limits.ts';

/** The flags of limits, which `vs create` and `vs limit` share. */
const words: Record<LimitKey, [value: string, help: string]> = {
  memory_bytes: ['size', 'memory, such as 512M'],
  swap_bytes: ['size', 'swap on top of the memory; 0: never swapped out'],
  disk_bytes: ['size', 'disk space'],
  tmp_bytes: ['size', '/tmp is a tmpfs of this size'],
  procs: ['number', 'processes'],
  cpu: ['cores', 'cores, such as 0.8 or 8/10'],
  cpu_weight: ['weight', '1 to 10000 against others when processors are scarce; 100 is the usual'],
  io_read_rate: ['rate', 'bytes a second read from the disk, such as 10M'],
  io_write_rate: ['rate', 'bytes a second written to the disk'],
  net_in_rate: ['rate', 'bytes a second that come in, such as 12M, or 100mbit'],
  net_out_rate: ['rate', 'bytes a second that go out'],
};

/** Adds a flag for each limit to a verb. */
export function addLimitFlags(command: Command): Command {
  for (const { resource, key } of limitTable) {
    const [value, help] = words[key];
    command.option(`--${resource} <${value}>`, `${help}; none: no limit`);
  }
  return command;
}

/** The limits that were given as flags: null for `none`. Throws VsError 'usage' that names the flag. */
export function limitChangesOf(options: object): LimitChanges {
  const changes: LimitChanges = {};
  for (const { resource, key } of limitTable) {
    const camel = resource.replace(/-(\w)/, (_, letter: string) => letter.toUpperCase());
    const text = (options as Record<string, unknown>)[camel];
    if (typeof text !== 'string') continue;
    try {
      changes[key] = text === 'none' ? null : limitParsers[key].parse(text);
    } catch (error) {
      throw new VsError('usage', `--${resource}: ${(error as Error).message}, or none.`, { cause: error });
    }
  }
  return changes;
}
