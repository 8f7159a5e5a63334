import { rm } from 'node:fs/promises';
import { run } from '../../shared/run.ts';
import { writeFileIfChanged } from '../../shared/store.ts';
import type { Ends } from './ports.ts';

/** Bytes a second in and out, as the vserver sees it; absent: as fast as it goes. */
export interface Rates {
  in?: number | undefined;
  out?: number | undefined;
}

/** A line for `tc -batch` that slows down what a device sends (tc-tbf(8)): bursts of 20 ms, but at least one packet of 64 kB. */
export function shapeLine(device: string, rate: number): string {
  const burst = Math.max(Math.ceil(rate / 50), 65_536);
  return `qdisc replace dev ${device} root tbf rate ${rate * 8}bit burst ${burst} latency 50ms\n`;
}

/**
 * What comes in is sent by the host's end of the veth, what goes out by the guest's end. That one is as far from the
 * guest's reach as the other (it has no net_admin), it makes its programs wait where a policer on the host's end would throw
 * their packets away, and there is no device (ifb) that could be left behind.
 */
export async function writeShape(rules: string, ports: Ends[], rates: Rates): Promise<void> {
  const files = [
    { file: 'host.tc', rate: rates.in, devices: ports.map(({ veth }) => veth) },
    { file: 'guest.tc', rate: rates.out, devices: ports.map(({ device }) => device) },
  ];
  for (const { file, rate, devices } of files) {
    if (rate)
      await writeFileIfChanged(`${rules}/${file}`, devices.map((device) => shapeLine(device, rate)).join(''));
    else await rm(`${rules}/${file}`, { force: true });
  }
}

/** Brings the rates to each interface of a vserver that runs; `pid` is its init. */
export async function shapeNow(ports: Ends[], pid: number, rates: Rates): Promise<void> {
  const inside = ['nsenter', '-t', String(pid), '-n'];
  const ends = ports.flatMap(({ device, veth }): [string[], string, number | undefined][] => [
    [[], veth, rates.in],
    [inside, device, rates.out],
  ]);
  for (const [where, device, rate] of ends) {
    if (rate) await run([...where, 'tc', '-batch', '-'], { input: shapeLine(device, rate) });
    // 2: there is none
    else await run([...where, 'tc', 'qdisc', 'del', 'dev', device, 'root'], { okCodes: [0, 2] });
  }
}

let known: Promise<string | undefined> | undefined;

/** Why this host cannot slow down a network device; tried once, on the loopback of a namespace that is gone at once. */
export function shapeMissing(): Promise<string | undefined> {
  known ??= run(['unshare', '-n', 'tc', '-batch', '-'], { input: shapeLine('lo', 1_000_000) }).then(
    () => undefined,
    (error: Error) =>
      `its kernel has no token bucket filter (sch_tbf), or tc is not installed (iproute2): ${error.message}`,
  );
  return known;
}
