import { basename } from 'node:path';
import type { FirewallApplied, FirewallRule, FirewallView } from '../../shared/contract/firewall.ts';
import { size, table } from '../table.ts';

/** 12, 640 k, 1.2 M: in a column. */
export function count(value: number): string {
  if (value < 100_000) return String(value);
  return value < 1e8 ? `${Math.round(value / 1000)} k` : `${Math.round(value / 1e6)} M`;
}
const clip = (text: string, room: number) => (text.length <= room ? text : `${text.slice(0, room - 3)}...`);
/** Without what would move the cursor of a terminal: people wrote it. */
const plain = (text: string) => text.replaceAll(/\p{Cc}/gu, ' ');

/** Where a rule stands: its line, with the file when it is not the vserver's own. */
export const placeOf = ({ file, line }: FirewallRule): string =>
  basename(file) === 'firewall.conf' ? String(line) : `${basename(file)}:${line}`;

function headline(view: FirewallView, host: string): string {
  const { name, enabled, running, loaded, changed, faults } = view;
  if (faults.length > 0)
    return `${name} on ${host}: its firewall.conf has faults${loaded ? '; the rules that were loaded before stay in force' : ''}`;
  const state = !enabled
    ? loaded
      ? 'not enabled, but rules are in force'
      : 'not enabled: everything passes'
    : loaded
      ? 'enabled, in force'
      : running
        ? 'enabled, but NOT in force'
        : 'enabled, in force from its start on';
  const more = changed ? `\nIts files have changed since the rules were loaded: vs fw reload ${name}` : '';
  return `${name} on ${host}: ${state}${more}`;
}

/** `vs fw show`, at most `width` columns. */
export function showText(view: FirewallView, host: string, width: number): string {
  const parts = [headline(view, host), ...view.faults];
  const counted = (one: { packets?: number | undefined; bytes?: number | undefined }) => [
    one.packets === undefined ? '-' : count(one.packets),
    one.bytes === undefined ? '-' : size(one.bytes),
  ];
  const rows = view.rules.map((rule) => [placeOf(rule), ...counted(rule), plain(rule.text)]);
  if (view.denied) rows.push(['-', ...counted(view.denied), '(no rule matched: denied)']);
  if (rows.length > 0) {
    const headings = ['LINE', 'PACKETS', 'BYTES', 'RULE'];
    const taken = [0, 1, 2].map((at) =>
      Math.max(headings[at]?.length ?? 0, ...rows.map((row) => row[at]?.length ?? 0)),
    );
    const room = Math.max(20, width - taken.reduce((sum, one) => sum + one + 2, 0));
    parts.push(
      table(
        headings,
        rows.map((row) => row.with(3, clip(row[3] ?? '', room))),
      ),
    );
  }
  if (view.more > 0) parts.push(`and ${view.more} rules more, which are not shown`);
  if (view.names.length > 0)
    parts.push(
      table(
        ['NAME', 'ADDRESSES'],
        view.names.map(({ name, addresses, stale }) => [
          clip(name, 40),
          `${clip(addresses.join(', ') || 'none', Math.max(20, width - 62))}${stale ? ' (does not resolve)' : ''}`,
        ]),
      ),
    );
  return parts.join('\n');
}

/** What a change has brought about, in one line. */
export function appliedText({ name, enabled, running }: FirewallApplied, host: string): string {
  if (!enabled) return `${name} on ${host}: its firewall is off, everything passes`;
  return `${name} on ${host}: its firewall is on, ${running ? 'in force now' : 'in force from its start on'}`;
}
