import { isIP } from 'node:net';
import { InvalidArgumentError } from 'commander';
import { VsError } from '../../shared/errors.ts';

/** `10ms`, `30s`, `5m` in milliseconds. */
export function duration(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m)$/.exec(text);
  const ms = Number(match?.[1]) * ({ ms: 1, s: 1000, m: 60_000 }[match?.[2] ?? ''] ?? NaN);
  if (!(ms >= 1)) throw new InvalidArgumentError('A time is a number with a unit, such as 10ms, 30s or 5m.');
  return ms;
}

export function count(limit: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (Number.isInteger(value) && value >= 1 && value <= limit) return value;
    throw new InvalidArgumentError(`It is a whole number from 1 to ${limit}.`);
  };
}

/** `1h`, `-90s` in seconds. */
export function offset(text: string): number {
  const match = /^([+-]?)(\d{1,6})(s|m|h|d)$/.exec(text);
  const seconds = Number(match?.[2]) * ({ s: 1, m: 60, h: 3600, d: 86_400 }[match?.[3] ?? ''] ?? NaN);
  if (Number.isNaN(seconds)) throw new InvalidArgumentError('It is a time such as 1h or -90s.');
  return match?.[1] === '-' ? -seconds : seconds;
}

/** `900M`, `2G` in MB. */
export function megabytes(text: string): number {
  const match = /^(\d{1,6})(M|G)$/.exec(text);
  const value = Number(match?.[1]) * (match?.[2] === 'G' ? 1024 : 1);
  if (Number.isNaN(value)) throw new InvalidArgumentError('It is a size such as 900M or 2G.');
  return value;
}

/** `5%` or `0.5` in percent. */
export function percent(text: string): number {
  const value = /^\d+(\.\d+)?%?$/.test(text) ? Number.parseFloat(text) : NaN;
  if (value >= 0 && value <= 100) return value;
  throw new InvalidArgumentError('A loss is a share from 0 to 100 percent, such as 5%.');
}

/** `10mbit`, `500kbit`, `1gbit` in kbit/s. */
export function rate(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(kbit|mbit|gbit)$/.exec(text);
  const kbit = Number(match?.[1]) * ({ kbit: 1, mbit: 1000, gbit: 1_000_000 }[match?.[2] ?? ''] ?? NaN);
  if (kbit >= 1) return kbit;
  throw new InvalidArgumentError('A rate is a number with a unit, such as 500kbit or 10mbit.');
}

export function storage(text: string): 'btrfs' | 'dir' | 'mixed' {
  if (text === 'btrfs' || text === 'dir' || text === 'mixed') return text;
  throw new InvalidArgumentError('It is btrfs, dir or mixed.');
}

export function external(text: string): 'mosquitto' | 'nats' {
  if (text === 'mosquitto' || text === 'nats') return text;
  throw new InvalidArgumentError('It is mosquitto or nats.');
}

/** ADDRESS:PORT, [ADDRESS6]:PORT, or with --icmp an address alone (a port is then left out). */
export function probeTarget(text: string, icmp: boolean): string {
  const match = /^(?:\[(.+)\]|([^[\]:]+)):(\d{1,5})$/.exec(text);
  const address = match?.[1] ?? match?.[2] ?? (icmp ? text.replace(/^\[(.*)\]$/, '$1') : '');
  if (isIP(address) && (icmp || (Number(match?.[3]) > 0 && Number(match?.[3]) < 65_536))) {
    return icmp ? address : text;
  }
  throw new VsError('usage', `"${text}" is no address and port such as 10.60.10.5:80 or [fd60:10::5]:80.`);
}
