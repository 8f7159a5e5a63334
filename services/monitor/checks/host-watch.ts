import { statfs, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { parseHostMonitor } from '../../../config/monitor/host.ts';
import type { MonitorConfig, Rule } from '../../../config/monitor/rule.ts';
import { hostKinds, valueText } from '../../../config/monitor/kinds.ts';
import type { Metrics } from '../../../shared/contract/host.ts';
import { readIdentity } from '../../../shared/identity.ts';
import type { Context } from '../../../shared/service.ts';
import { readKernel } from '../read.ts';
import type { Reading } from './evaluate.ts';
import { type Fill, NEVER_S, fullIn, remember } from './growth.ts';
import type { Keep } from './keep.ts';
import type { HostMending } from './mending.ts';
import { thresholdReadings } from './readings.ts';
import { openHardware } from './host-hardware.ts';
import { openSubject } from './subject.ts';

/** No vserver can be called so. */
export const HOST_ID = '_host';
const LIFE_SHARE = 6;

/** Seconds that a certificate is still valid, by its dates (ms). While it is young it never ends: it is renewed in its last third. */
export function certificateLeft(from: number, ends: number, now: number): number {
  const left = ends - now;
  return left > (ends - from) / LIFE_SHARE ? NEVER_S : Math.max(0, left / 1000);
}

interface Volume {
  /** The check, and its growth's: `disk`, and `disk-NAME` of further volumes. */
  suffix: string;
  path: string;
}
/** The volumes that matter, each once: that of the vservers, that of vs-tools' own state, the root. */
async function volumesOf(paths: Record<string, string>): Promise<Volume[]> {
  const seen = new Set<number>();
  const found: Volume[] = [];
  for (const [suffix, path] of Object.entries(paths)) {
    const device = (await stat(path).catch(() => undefined))?.dev;
    if (device === undefined || seen.has(device)) continue;
    seen.add(device);
    found.push({ suffix, path });
  }
  return found;
}

/** Rules of disks, once for each volume. */
export const rulesFor = (config: MonitorConfig, volumes: readonly Volume[]): Rule[] =>
  config.rules.flatMap((rule) =>
    rule.check === 'disk' || rule.check === 'disk-growth'
      ? volumes.map(({ suffix }) => ({ ...rule, check: `${rule.check}${suffix}` }))
      : [rule],
  );

/** Watches the host itself: how full, how loaded, its links, its certificate. */
export async function createHostWatch(context: Context, keep: Keep, presser: HostMending) {
  const { host, settings, bus } = context;
  const volumes = await volumesOf({
    '': settings.VSERVER_DIR,
    '-state': settings.STATE_DIR,
    '-root': '/',
  });
  const subject = await openSubject(context, keep, HOST_ID, {
    name: 'host',
    title: host,
    file: join(settings.CONFIG_DIR, 'host-monitor.conf'),
    parse: parseHostMonitor,
    rules: (config) => rulesFor(config, volumes),
    more: presser.tell,
  });
  await subject.reread(); // a pause that was written while nobody looked counts from the first look on
  const fills = new Map<string, Fill[]>();
  const hardware = openHardware();
  let due = 0;
  let busy = false;

  async function disks(): Promise<Record<string, Reading>> {
    const readings: Record<string, Reading> = {};
    const ruleOf = (check: string) => subject.rules.find((one) => one.check === check);
    for (const { suffix, path } of volumes) {
      const { blocks, bfree, bavail, bsize } = await statfs(path);
      const usable = blocks - bfree + bavail; // as df: what root alone may use is no room
      const [used, limit] = [(blocks - bfree) * bsize, usable * bsize];
      const known = remember(fills.get(suffix) ?? [], { ts: Date.now(), bytes: used });
      fills.set(suffix, known);
      const pct = limit > 0 ? (100 * used) / limit : null;
      readings[`disk${suffix}`] = {
        value: pct,
        text: `disk of ${path} at ${valueText('percent', pct ?? 0)}, threshold ${valueText('percent', ruleOf(`disk${suffix}`)?.threshold ?? 0)}`,
      };
      const full = fullIn(known, limit);
      if (full !== undefined)
        readings[`disk-growth${suffix}`] = {
          value: full,
          text: `disk of ${path} is full in ${valueText('seconds', full)}`,
        };
    }
    return readings;
  }
  async function links(): Promise<Record<string, Reading>> {
    const { networks } = await bus.request(host, 'network.list', {});
    const uplinks = [...new Set(networks.flatMap(({ network }) => network.uplink ?? []))];
    const down = uplinks.filter((one) => readKernel(`/sys/class/net/${one}/carrier`).trim() !== '1');
    const text = down.join(', ');
    return {
      links: {
        value: down.length > 0 ? 1 : 0,
        text: `no link on ${text}, which carries networks`,
        about: text,
      },
    };
  }
  function certificate(): number | null {
    const own = readIdentity(settings.TLS_DIR);
    if (!own) return null;
    const { validFromDate, validToDate } = own.x509;
    return certificateLeft(validFromDate.getTime(), validToDate.getTime(), Date.now());
  }
  /** What cannot be looked at just now stays as it was; the rest does not wait for it. */
  async function each(
    ...looks: (() => Promise<Record<string, Reading>>)[]
  ): Promise<Record<string, Reading>> {
    const all = await Promise.all(
      looks.map((one) =>
        one().catch((error: unknown) => {
          context.log.warn({ error: String(error) }, 'a check of the host');
          return {};
        }),
      ),
    );
    return Object.assign({}, ...all) as Record<string, Reading>;
  }

  return {
    subject,
    kinds: hostKinds,
    /** Looks when it is due; `figures`: what was published last of the host. */
    look(figures: Metrics | undefined): void {
      if (busy || !figures || (performance.now() < due && !subject.isChanged())) return;
      busy = true;
      void (async () => {
        await subject.reread();
        due = performance.now() + subject.config.pollSeconds * 1000;
        const more = async () =>
          thresholdReadings(subject.config, figures, {
            kinds: 'host',
            cores: 1,
            more: { certificate: certificate(), 'pool-data': undefined, 'pool-metadata': undefined },
          });
        const memory = Number(figures['mem_pct'] ?? 0);
        const pressure = { value: memory, text: `memory of the host at ${valueText('percent', memory)}` };
        const plain = await each(more);
        const wanted = (check: string, look: () => Promise<Record<string, Reading>>) =>
          subject.rules.some((rule) => rule.check === check) ? [look] : [];
        const tools = [
          ...wanted('raid', hardware.raid),
          ...wanted('smart', hardware.smart),
          ...(subject.rules.some(({ check }) => check.startsWith('pool-')) ? [hardware.pools] : []),
        ];
        subject.take({ ...plain, [presser.check]: pressure, ...(await each(disks, links, ...tools)) });
        await presser.after(subject);
      })()
        .catch((error: unknown) => context.log.warn({ error: String(error) }, 'checks of the host'))
        .finally(() => (busy = false));
    },
  };
}
export type HostWatch = Awaited<ReturnType<typeof createHostWatch>>;
