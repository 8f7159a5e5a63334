import { z } from 'zod';

/** What is wrong with a thing of the host, by its name. */
export interface Fault {
  name: string;
  text: string;
}

/** RAID arrays of /proc/mdstat (md(4)) that have fewer disks than they should, or do not run. */
export function raidFaults(mdstat: string): Fault[] {
  const blocks = mdstat.split(/\n(?=md\S* : )/).filter((block) => /^md\S* : /.test(block));
  return blocks.flatMap((block): Fault[] => {
    const [head = '', ...rest] = block.split('\n');
    const [, name = '', state = ''] = /^(md\S*) : (\S+)/.exec(head) ?? [];
    const below = rest.join('\n');
    const [, wanted, working] = /\[(\d+)\/(\d+)\] \[[U_]+\]/.exec(below) ?? [];
    const failed = [...head.matchAll(/(\S+)\[\d+\](?:\([A-Z]\))*\(F\)/g)].map((one) => one[1] ?? '');
    const [, work, percent] = /(recovery|resync|reshape) *= *([\d.]+)%/.exec(below) ?? [];
    const doing = work ? `, ${work} at ${percent} %` : '';
    const gone = failed.length > 0 ? `, failed: ${failed.join(', ')}` : '';
    if (state !== 'active') return [{ name, text: `${name} is ${state}${gone}` }];
    if (wanted !== undefined && Number(working) < Number(wanted))
      return [{ name, text: `${name} has ${working} of ${wanted} disks${gone}${doing}` }];
    return gone ? [{ name, text: `${name} has all disks${gone}` }] : [];
  });
}

const scan = z.looseObject({
  devices: z.array(z.looseObject({ name: z.string(), type: z.string().default('auto') })).default([]),
});
/** The disks that `smartctl --scan --json` found. */
export const smartDevices = (json: string): { name: string; type: string }[] =>
  scan.parse(JSON.parse(json)).devices.filter(({ name }) => /^\/dev\/[A-Za-z0-9/_-]{1,60}$/.test(name));

const health = z.looseObject({
  smartctl: z.looseObject({ exit_status: z.int() }),
  smart_status: z.looseObject({ passed: z.boolean() }).optional(),
});
/** smartctl(8), exit status: bit 3, the disk says that it fails; bit 4, an attribute is below its threshold now. */
const [FAILING, BELOW] = [0x08, 0x10];
/** What `smartctl --health --json` says of a disk: undefined when all is well, null when it says nothing (it sleeps, or has no SMART). */
export function smartFault(json: string): string | undefined | null {
  const { smartctl, smart_status: status } = health.parse(JSON.parse(json));
  if (status?.passed === false || (smartctl.exit_status & FAILING) !== 0) return 'says that it fails';
  if ((smartctl.exit_status & BELOW) !== 0) return 'has an attribute below its threshold';
  return status ? undefined : null;
}

const percent = z
  .string()
  .transform((text) => (text === '' ? undefined : Number(text)))
  .pipe(z.number().optional());
const report = z.looseObject({
  report: z.array(
    z.looseObject({
      lv: z.array(
        z.looseObject({
          vg_name: z.string(),
          lv_name: z.string(),
          data_percent: percent,
          metadata_percent: percent,
        }),
      ),
    }),
  ),
});
export interface ThinPool {
  name: string;
  data: number | undefined;
  metadata: number | undefined;
}
/** Thin pools by lvs --reportformat json (fields vg_name, lv_name, data_percent, metadata_percent). */
export const thinPools = (json: string): ThinPool[] =>
  report
    .parse(JSON.parse(json))
    .report.flatMap(({ lv }) => lv)
    .map((one) => ({
      name: `${one.vg_name}/${one.lv_name}`,
      data: one.data_percent,
      metadata: one.metadata_percent,
    }));
