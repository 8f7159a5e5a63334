import { z } from 'zod';
import { VsError } from '../../shared/errors.ts';

/** The columns of `lvs` that are asked for (lvs(8), lvmreport(7)). */
export const columns =
  'vg_name,lv_name,lv_size,lv_attr,data_percent,metadata_percent,origin,pool_lv,lv_tags,vg_free,vg_extent_size';

const row = z.object({
  vg_name: z.string(),
  lv_name: z.string(),
  lv_size: z.coerce.number(),
  lv_attr: z.string(),
  data_percent: z.string(),
  metadata_percent: z.string(),
  origin: z.string(),
  pool_lv: z.string(),
  lv_tags: z.string(),
  vg_free: z.coerce.number(),
  vg_extent_size: z.coerce.number(),
});
const report = z.object({ report: z.array(z.object({ lv: z.array(row).default([]) })) });

/** A logical volume; sizes in bytes, shares in percent. */
export interface Volume {
  group: string;
  name: string;
  size: number;
  /** Of a thick snapshot: more changed than fits into it, so nothing can be read from it any more. */
  lost: boolean;
  /** Of a snapshot or a thin pool: how full it is. */
  percent?: number;
  /** Of a thin pool: how full its metadata is. */
  metadata?: number;
  origin: string;
  pool: string;
  tags: string[];
  kind: 'pool' | 'thin' | 'snapshot' | 'other';
  /** Of its volume group. */
  free: number;
  extent: number;
}

/** The first letter of lv_attr: s a thick snapshot, V a thin volume, t a thin pool; S a snapshot that is not valid. */
const kinds: Record<string, Volume['kind']> = { s: 'snapshot', S: 'snapshot', V: 'thin', t: 'pool' };
const share = (text: string): number | undefined => (text === '' ? undefined : Number(text));

/** What `lvs --reportformat json --units b --nosuffix -o columns` says. Throws VsError. */
export function parseVolumes(text: string): Volume[] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new VsError('failed', `lvs answered no JSON: ${text.slice(0, 80)}`, { cause: error });
  }
  const parsed = report.safeParse(value);
  if (!parsed.success)
    throw new VsError('failed', `lvs answered what is no report: ${z.prettifyError(parsed.error)}`);
  return parsed.data.report
    .flatMap(({ lv }) => lv)
    .map((one) => {
      const [percent, metadata] = [share(one.data_percent), share(one.metadata_percent)];
      return {
        group: one.vg_name,
        name: one.lv_name,
        size: one.lv_size,
        // the fifth letter: I an invalid snapshot, S one that is suspended as well
        lost: one.lv_attr.startsWith('S') || /^....[IS]/.test(one.lv_attr),
        ...(percent === undefined ? {} : { percent }),
        ...(metadata === undefined ? {} : { metadata }),
        origin: one.origin,
        pool: one.pool_lv,
        tags: one.lv_tags.split(',').filter(Boolean),
        kind: kinds[one.lv_attr[0] ?? ''] ?? 'other',
        free: one.vg_free,
        extent: one.vg_extent_size,
      };
    });
}

/** Bytes as whole extents, upwards. */
export const inExtents = (bytes: number, extent: number): number => Math.ceil(bytes / extent) * extent;

/** How large a thick snapshot of a volume begins: a share of it, or what the volume group still has. Undefined: nothing is left there. */
export function firstSize(
  origin: Pick<Volume, 'size' | 'free' | 'extent'>,
  percent: number,
): number | undefined {
  const { size, free, extent } = origin;
  const wanted = inExtents((size * percent) / 100, extent);
  const has = Math.floor(free / extent) * extent;
  return has < extent ? undefined : Math.min(wanted, has);
}

/** From so much on (percent) a thick snapshot is grown. */
const GROW_AT = 50;

/** How large a thick snapshot should become now: twice as large, as far as the volume group has it; undefined: it stays as it is. */
export function nextSize(
  one: Pick<Volume, 'size' | 'percent' | 'lost' | 'free' | 'extent'>,
): number | undefined {
  if (one.lost || (one.percent ?? 0) < GROW_AT) return undefined;
  const more = Math.min(one.size, Math.floor(one.free / one.extent) * one.extent);
  return more < one.extent ? undefined : one.size + more;
}

/** From so much on (percent) a thin pool is told to be full: its vservers get errors when nothing is left. */
const POOL_FULL = 90;

/** What a person should know of the volumes; `linked` are the names that a tree of this host leads to. */
export function faultsOf(all: Volume[], tag: string, linked: ReadonlySet<string>, pool?: string): string[] {
  const faults: string[] = [];
  for (const one of all) {
    const name = `${one.group}/${one.name}`;
    if (one.kind === 'pool' && one.name === pool)
      for (const [what, full] of [
        ['data', one.percent],
        ['metadata', one.metadata],
      ] as const)
        if (full !== undefined && full >= POOL_FULL)
          faults.push(
            `the ${what} of the thin pool ${name} is ${full.toFixed(0)} % full, and its vservers cannot write when it is full: grow it (lvextend ${what === 'data' ? '-L' : '--poolmetadatasize'} +SIZE ${name}), empty the trash, or move vservers away`,
          );
    if (one.tags.includes(tag) && !linked.has(one.name))
      faults.push(
        `the volume ${name} belongs to no tree of this host; look into it, and remove it: lvremove ${name}`,
      );
  }
  return faults;
}
