import { parseLines, readOptional } from './lines.ts';
import type { Settings } from './settings.ts';

/** One host of slaves.conf: `host[:noselect,compress,bwlimit=50k|50m]`. */
export interface Slave {
  host: string;
  /** Never chosen by itself for a new vserver. */
  noselect: boolean;
  compress: boolean;
  /** Bytes a second for copies to and from it. */
  bwlimit?: number;
}

function parseSlave(line: string, before: Slave[]): Slave {
  const [host = '', options = '', ...rest] = line.split(':').map((field) => field.trim());
  if (!/^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$/.test(host) || rest.length > 0)
    throw new Error(`expected host[:noselect,compress,bwlimit=50m], found "${line.slice(0, 60)}"`);
  if (before.some((other) => other.host === host)) throw new Error(`host ${host} stands here already`);
  const slave: Slave = { host, noselect: false, compress: false };
  for (const option of options.split(',').map((word) => word.trim())) {
    const limit = /^bwlimit=([1-9]\d{0,8})([km])$/.exec(option);
    if (option === 'noselect' || option === 'compress') slave[option] = true;
    else if (limit) slave.bwlimit = Number(limit[1]) * (limit[2] === 'k' ? 1024 : 1024 * 1024);
    else if (option)
      throw new Error(`unknown option ${option}; known are noselect, compress, bwlimit=50k, bwlimit=50m`);
  }
  return slave;
}

/** Parses the text of slaves.conf. */
export const parseSlaves = (text: string, file: string): Slave[] => parseLines(text, file, parseSlave);

/** The hosts of CONFIG_DIR/slaves.conf; none when there is no such file. */
export async function loadSlaves(settings: Pick<Settings, 'CONFIG_DIR'>): Promise<Slave[]> {
  const file = `${settings.CONFIG_DIR}/slaves.conf`;
  return parseSlaves(await readOptional(file), file);
}
