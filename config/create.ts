import { z } from 'zod';
import type { LimitKey, Limits } from '../shared/contract/limits.ts';
import { parseLines, readOptional } from './lines.ts';
import type { Settings } from './settings.ts';

/** Bytes of `512M`, `1g`, `2GiB` or a plain number; K, M, G and T are powers of 1024. Throws a sentence. */
export function parseSize(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?$/i.exec(text.trim());
  if (!match) throw new Error(`expected a size such as 512M or 2G, found "${text}"`);
  const power = ' kmgt'.indexOf((match[2] || ' ').toLowerCase());
  return Math.round(Number(match[1]) * 1024 ** power);
}

/** Cores of `0.8` or, as the classic wrote it, `8/10`. Throws a sentence. */
export function parseCpu(text: string): number {
  const [over = '', under = '1'] = text.split('/');
  const cores = Number(over) / Number(under);
  if (!/^\d+(\.\d+)?(\/\d+)?$/.test(text) || !(cores > 0 && cores <= 1024))
    throw new Error(`expected cores such as 0.8 or 8/10, found "${text}"`);
  return cores;
}

/** A whole number of processes. Throws a sentence. */
export function parseProcs(text: string): number {
  if (!/^[1-9]\d{0,6}$/.test(text)) throw new Error(`expected a number of processes, found "${text}"`);
  return Number(text);
}

/** A weight of 1 to 10000; 100 is the usual. Throws a sentence. */
export function parseWeight(text: string): number {
  if (!/^[1-9]\d{0,3}$|^10000$/.test(text))
    throw new Error(`expected a weight of 1 to 10000, found "${text}"`);
  return Number(text);
}

/** Bytes a second of `10M` (powers of 1024) or, as networks are sold, `100mbit`. Throws a sentence. */
export function parseRate(text: string): number {
  const wanted = text.trim().toLowerCase();
  const [, count, unit = ''] = /^(\d+(?:\.\d+)?)([kmg])bit$/.exec(wanted) ?? [];
  const bits = Number(count) * 1000 ** ' kmg'.indexOf(unit);
  const rate = count
    ? Math.round(bits / 8)
    : /^\d+(\.\d+)?[kmgt]?(i?b)?(\/s)?$/.test(wanted)
      ? parseSize(wanted.replace('/s', ''))
      : 0;
  if (rate < 1000)
    throw new Error(`expected a rate such as 10M (bytes a second) or 100mbit, found "${text}"`);
  return rate;
}

/** The key of create.conf and the parser of each limit. */
export const limitParsers: Record<LimitKey, { conf: string; parse: (text: string) => number }> = {
  memory_bytes: { conf: 'MEMORY', parse: parseSize },
  swap_bytes: { conf: 'SWAP', parse: parseSize },
  disk_bytes: { conf: 'DISK', parse: parseSize },
  tmp_bytes: { conf: 'TMP', parse: parseSize },
  procs: { conf: 'PROCS', parse: parseProcs },
  cpu: { conf: 'CPU', parse: parseCpu },
  cpu_weight: { conf: 'CPU_WEIGHT', parse: parseWeight },
  io_read_rate: { conf: 'IO_READ', parse: parseRate },
  io_write_rate: { conf: 'IO_WRITE', parse: parseRate },
  net_in_rate: { conf: 'NET_IN', parse: parseRate },
  net_out_rate: { conf: 'NET_OUT', parse: parseRate },
};

const yesNo = (text: string) => {
  if (!/^(yes|no)$/i.test(text)) throw new Error(`expected yes or no, found "${text}"`);
  return text.toLowerCase() === 'yes';
};
const word = (text: string) => {
  if (!text) throw new Error('the value is empty');
  return text;
};
const addresses = (text: string) => {
  for (const one of text.split(/[\s,]+/))
    if (!z.union([z.ipv4(), z.ipv6()]).safeParse(one).success)
      throw new Error(`expected IP addresses, found "${one}"`);
  return text;
};

/** Absolute paths, with blanks between. */
const paths = (text: string) => {
  const all = text.split(/\s+/).filter(Boolean);
  const relative = all.find((one) => !one.startsWith('/'));
  if (all.length === 0 || relative !== undefined)
    throw new Error(`expected the absolute path of a file, found "${relative ?? ''}"`);
  return all;
};

/** The keys of create.conf and what their values may be. */
const keys = {
  TEMPLATE: word,
  HOST: word,
  DOMAIN: word,
  NAMESERVER: addresses,
  ...Object.fromEntries(Object.values(limitParsers).map(({ conf, parse }) => [conf, parse])),
  ENABLE: yesNo,
  START: yesNo,
  SSH_KEY: paths,
  POST_INSTALL: (text: string) => paths(text)[0],
  PRIVILEGED: yesNo,
};
/** What `create` takes when it is not told otherwise. */
export interface CreateDefaults {
  source?: string;
  host?: string;
  domain?: string;
  nameserver?: string;
  enable?: boolean;
  start?: boolean;
  /** Files on the master: public keys for root, and a script to run in it once. */
  sshKeyFiles?: string[];
  postInstallFile?: string;
  privileged?: boolean;
  limits: Limits;
}

function parsePair(line: string, before: [string, unknown][]): [string, unknown] {
  const match = /^([A-Z][A-Z0-9_]*)\s*=\s*(.*)$/.exec(line);
  const key = match?.[1];
  if (!key) throw new Error(`expected KEY=value, found "${line.slice(0, 60)}"`);
  if (before.some(([known]) => known === key)) throw new Error(`${key} is set already`);
  const parse = (keys as Record<string, (text: string) => unknown>)[key];
  if (!parse) throw new Error(`unknown key ${key}; known are ${Object.keys(keys).join(', ')}`);
  const given = (match[2] ?? '').trim();
  const value = given.replace(/^(["'])(.*)\1$/, '$2');
  if (value === given && /^["']|["']$/.test(value)) throw new Error(`${key}: a quote is not closed`);
  try {
    return [key, parse(value)];
  } catch (error) {
    throw new Error(`${key}: ${(error as Error).message}`, { cause: error });
  }
}

/** Parses the text of create.conf. Throws VsError 'usage' with every fault, by file and line. */
export function parseCreate(text: string, file: string): CreateDefaults {
  const found = Object.fromEntries(parseLines(text, file, parsePair));
  const names = {
    TEMPLATE: 'source',
    HOST: 'host',
    DOMAIN: 'domain',
    NAMESERVER: 'nameserver',
    ENABLE: 'enable',
    START: 'start',
    SSH_KEY: 'sshKeyFiles',
    POST_INSTALL: 'postInstallFile',
    PRIVILEGED: 'privileged',
  };
  const limits = Object.fromEntries(Object.entries(limitParsers).map(([key, { conf }]) => [conf, key]));
  const pick = (map: Record<string, string>) =>
    Object.fromEntries(Object.entries(map).flatMap(([key, as]) => (key in found ? [[as, found[key]]] : [])));
  return { ...pick(names), limits: pick(limits) };
}

/** The defaults of CONFIG_DIR/create.conf; none when there is no such file. */
export async function loadCreate(settings: Pick<Settings, 'CONFIG_DIR'>): Promise<CreateDefaults> {
  const file = `${settings.CONFIG_DIR}/create.conf`;
  return parseCreate(await readOptional(file), file);
}
