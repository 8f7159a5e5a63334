import type { Data } from '../../shared/contract/commands.ts';
import type { LimitRow } from '../../shared/contract/limits.ts';
import type { NewestFigures } from '../../shared/contract/history.ts';
import type { ScanRow } from '../../shared/contract/orchestrator.ts';
import type { PackageInfo } from '../../shared/contract/packages.ts';
import type { SagaState } from '../../shared/contract/saga.ts';
import type { VserverConfig, VserverState } from '../../shared/contract/vserver.ts';
import { VsError } from '../../shared/errors.ts';
import { ask, show } from './call.ts';
import { limitLines, moveLines, netLines, packageLines, scanLines, statLines, stateLine } from './lines.ts';

/** Flags of a classic command: `text` takes a value, `word` none, `maybe` one or none. */
type Kind = 'text' | 'word' | 'maybe';
export type Given = Record<string, string | true | undefined>;
export interface Classic {
  summary: string;
  flags: Record<string, { kind: Kind; help: string }>;
  /** Does it, and answers the lines to print. */
  run(given: Given, words: string[]): string[];
}

const text = (help: string) => ({ kind: 'text' as const, help });
const word = (help: string) => ({ kind: 'word' as const, help });
const maybe = (help: string) => ({ kind: 'maybe' as const, help });
const name = text('a vserver');
const host = text('a host');
const yes = word('do not ask');

function need(given: Given, flag: string): string {
  const value = given[flag];
  if (typeof value !== 'string') throw new VsError('usage', `Give --${flag}.`);
  return value;
}
/** The flag of today with the value of the old one. */
const pass = (given: Given, flag: string, as: string, unit = ''): string[] => {
  const value = given[flag];
  return value === undefined ? [] : value === true ? [`--${as}`] : [`--${as}`, `${value}${unit}`];
};
/** Who is meant: `--name N`, or `--all`. */
function subject(given: Given): string[] {
  if (given['all']) return ['--all'];
  return [need(given, 'name')];
}
const rowsOf = (given: Given) =>
  ask(['scan', ...pass(given, 'host', 'host'), ...pass(given, 'name', 'name')]) as ScanRow[];
/** Does another machine than the vserver itself answer at its address? */
function answersElsewhere({ vserver, host: at, network, address }: ScanRow): boolean {
  const six = address?.includes(':');
  const question = JSON.stringify({ network, [six ? 'address6' : 'address']: address });
  const found = ask(['call', at, 'network.check', question]) as Data<'network.check'>;
  const answers = six ? found.answers6 : found.answers;
  if (!answers) return false;
  return (ask(['show', vserver ?? '']) as { config: VserverConfig }).config.mac !== answers;
}
/** Whose rules are in force on a host. */
function wallsOf(at: string): string[] {
  const { vservers } = ask(['call', at, 'firewall.loaded', '{}']) as { vservers: string[] };
  return vservers.map((one) => `${at}:${one}`);
}
const vserverRows = (given: Given) =>
  rowsOf(given)
    .filter((row) => row.vserver !== null && row.state !== 'unknown')
    .map((row) =>
      stateLine({ host: row.host, name: row.vserver ?? '', enabled: row.enabled === true, state: row.state }),
    );

/** The saga of a verb, which is followed by its `--json`. */
const saga = (argv: string[]) => ask(argv) as SagaState;

/** `[dev:]ip[/prefix]`: the device is the network's affair today. */
export const addressOf = (given: string): string => given.replace(/^[A-Za-z][\w.-]*:(?=\d)/, '');

function sourceOf(given: Given): string[] {
  const { debootstrap, template, clone } = given;
  const some = [debootstrap, template, clone].filter((one) => one !== undefined);
  if (some.length > 1) throw new VsError('usage', 'Give one of --debootstrap, --template, --clone.');
  if (typeof clone === 'string') return [`clone:${clone}`];
  if (typeof template === 'string') return [template];
  return typeof debootstrap === 'string' ? [debootstrap] : []; // else what create.conf says
}

const packageActions: [flag: string, action: string][] = [
  ['update_sources', 'update'],
  ['list_upgrades', 'upgrades'],
  ['upgrade_all', 'upgrade'],
  ['upgrade', 'upgrade'],
  ['search', 'search'],
  ['show', 'show'],
  ['install', 'install'],
  ['remove', 'remove'],
  ['purge_download', 'clean'],
];

/** The commands of 2007, their flags, and what they are today (docs/classic.md). */
export const classics: Record<string, Classic> = {
  'vs-control': {
    summary: 'state, start, stop, autostart of vservers',
    flags: {
      name,
      all: word('every vserver'),
      start: word('start'),
      stop: word('stop'),
      enable: word('start at boot'),
      disable: word('do not start at boot'),
    },
    run(given) {
      const who = subject(given);
      for (const verb of ['enable', 'disable', 'stop', 'start']) if (given[verb]) ask([verb, ...who]);
      return vserverRows(given);
    },
  },
  'vs-scan': {
    summary: 'state of all vservers on all hosts',
    flags: { host, name },
    run(given) {
      const rows = rowsOf(given);
      if (given['name']) return scanLines(rows, []);
      const hosts = (ask(['host', 'list']) as { host: string }[]).map((one) => one.host);
      const wanted = given['host'];
      return scanLines(rows, wanted === undefined ? hosts : hosts.filter((one) => one === wanted));
    },
  },
  'vs-create': {
    summary: 'create a vserver',
    flags: {
      name,
      interface: text('[dev:]ip[/prefix]'),
      host,
      debootstrap: maybe('from a suite'),
      template: text('from a tarball'),
      clone: text('from another vserver'),
      context: text('not needed any more'),
      domain: text('its domain'),
      name_server: text('its resolvers'),
      disk: text('MB'),
      tmpfs: text('MB'),
      rss: text('MB'),
      proc: text('processes'),
      cpu: text('8/10'),
      enable: word('start at boot'),
      assume_yes: yes,
    },
    run(given) {
      const argv = ['create', need(given, 'name'), addressOf(need(given, 'interface')), ...sourceOf(given)];
      show([
        ...argv,
        ...pass(given, 'host', 'host'),
        ...pass(given, 'domain', 'domain'),
        ...pass(given, 'name_server', 'nameserver'),
        ...pass(given, 'disk', 'disk', 'M'),
        ...pass(given, 'tmpfs', 'tmp', 'M'),
        ...pass(given, 'rss', 'memory', 'M'),
        ...pass(given, 'proc', 'procs'),
        ...pass(given, 'cpu', 'cpu'),
        ...pass(given, 'enable', 'enable'),
        ...pass(given, 'assume_yes', 'yes'),
      ]);
      return vserverRows({ name: need(given, 'name') });
    },
  },
  'vs-pkg': {
    summary: 'packages inside a running vserver',
    flags: {
      name,
      all: word('every vserver that runs'),
      update_sources: word('fetch the lists'),
      list_upgrades: word('what could be upgraded'),
      upgrade: text('upgrade a package'),
      upgrade_all: word('upgrade all'),
      search: text('search'),
      show: text('show a package'),
      install: text('install'),
      remove: text('remove'),
      purge_download: word('remove what was downloaded'),
    },
    run(given) {
      const who = subject(given);
      const wanted = packageActions.filter(([flag]) => given[flag] !== undefined);
      const lines: string[] = [];
      for (const [flag, action] of wanted.length > 0 ? wanted : [['', 'list'] as const]) {
        const value = given[flag];
        const packages = typeof value === 'string' ? value.split(/[\s,]+/) : [];
        type Answer = { vserver: string; data?: { packages?: PackageInfo[]; text?: string } }[];
        for (const { vserver, data } of ask(['pkg', ...who, action, ...packages]) as Answer) {
          const mine = data?.text?.trimEnd().split('\n') ?? packageLines(data?.packages ?? []);
          lines.push(...(given['all'] ? mine.map((line) => `${vserver}:${line}`) : mine));
        }
      }
      return lines;
    },
  },
  'vs-stats': {
    summary: 'usage of a host or a vserver',
    flags: { host: maybe('a host; this one unless named'), name },
    run(given) {
      if (typeof given['name'] === 'string') {
        const [one] = ask(['stats', given['name']]) as NewestFigures[];
        const shown = ask(['show', given['name']]) as { state: VserverState; config: VserverConfig };
        return one ? statLines(one, shown) : [];
      }
      const named = typeof given['host'] === 'string' ? [given['host']] : [];
      return (ask(['stats', ...named]) as NewestFigures[])
        .filter((one) => one.kind === 'host')
        .flatMap((one) => statLines(one));
    },
  },
  'vs-limit': {
    summary: 'show or set limits, live',
    flags: {
      name,
      rss: text('MB'),
      disk: text('MB'),
      tmpfs: text('MB'),
      proc: text('processes'),
      cpu: text('ratio, such as 8/10'),
      assume_yes: yes,
    },
    run(given) {
      const report = ask([
        'limit',
        need(given, 'name'),
        ...pass(given, 'rss', 'memory', 'M'),
        ...pass(given, 'disk', 'disk', 'M'),
        ...pass(given, 'tmpfs', 'tmp', 'M'),
        ...pass(given, 'proc', 'procs'),
        ...pass(given, 'cpu', 'cpu'),
      ]) as { limits: LimitRow[] };
      return limitLines(report.limits);
    },
  },
  'vs-get': {
    summary: 'copy a vserver from its host to the master',
    flags: { name, host, assume_yes: yes },
    run(given) {
      saga(['get', need(given, 'name'), ...pass(given, 'host', 'host')]);
      return [`master:${need(given, 'name')}:disabled:stopped`];
    },
  },
  'vs-put': {
    summary: "bring the master's copy of a vserver to a host",
    flags: { name, host, assume_yes: yes },
    run(given) {
      saga(['put', need(given, 'name'), need(given, 'host')]);
      return vserverRows({ name: need(given, 'name') });
    },
  },
  'vs-move': {
    summary: 'move a vserver to another host',
    flags: {
      name,
      src_host: text('from this host; it is looked up'),
      dst_host: text('to this host'),
      '1pass': word('not needed any more: passes go on while they shrink'),
      assume_yes: yes,
    },
    run(given) {
      const from = given['src_host'];
      if (typeof from === 'string' && !rowsOf({ name: need(given, 'name') }).some((row) => row.host === from))
        throw new VsError('not-found', `${need(given, 'name')} is not on ${from}.`);
      const state = saga(['move', need(given, 'name'), need(given, 'dst_host')]);
      return [...vserverRows({ name: need(given, 'name') }), ...moveLines(state)];
    },
  },
  'vs-remove': {
    summary: 'remove a stopped vserver from a host',
    flags: { name, host, assume_yes: yes },
    run(given) {
      show([
        'remove',
        need(given, 'name'),
        ...pass(given, 'host', 'host'),
        ...pass(given, 'assume_yes', 'yes'),
      ]);
      return [];
    },
  },
  'vs-net': {
    summary: 'network of vservers: address, VLAN, route, firewall',
    flags: {
      name,
      all: word('every vserver'),
      vlan: text('up or down: the network of these, on their hosts'),
      fw: text('up or down: the firewall of these, now and for good'),
      check: word('exit 1 when the address answers elsewhere'),
    },
    run(given) {
      const wanted = given['all'] ? rowsOf({}) : rowsOf({ name: need(given, 'name') });
      const rows = wanted.filter((row) => row.vserver !== null && row.state !== 'unknown');
      if (rows.length === 0 && !given['all'])
        throw new VsError('not-found', `There is no vserver ${need(given, 'name')}.`);
      const vlan = given['vlan'];
      if (vlan !== undefined && vlan !== 'up' && vlan !== 'down')
        throw new VsError('usage', 'Give --vlan up, or --vlan down.');
      const wall = given['fw'];
      if (wall !== undefined && wall !== 'up' && wall !== 'down')
        throw new VsError('usage', 'Give --fw up, or --fw down.');
      const of = ({ host: at, vserver }: ScanRow) => [vserver ?? '', '--host', at];
      if (wall !== undefined) for (const row of rows) ask(['fw', wall, ...of(row)]);
      if (vlan !== undefined)
        for (const row of rows) ask(['net', vlan, row.network ?? '', '--host', row.host]);
      const elsewhere = given['check'] ? rows.filter(answersElsewhere) : [];
      if (elsewhere.length > 0)
        throw new VsError(
          'refused',
          elsewhere.map((row) => `${row.address} of ${row.vserver} answers elsewhere`).join('; '),
        );
      const { networks } = ask(['net', 'list']) as Pick<Parameters<typeof netLines>[1], 'networks'>;
      const walls = [...new Set(rows.map((row) => row.host))].flatMap((at) => wallsOf(at));
      return netLines(rows, { networks, walls: new Set(walls) });
    },
  },
  'vs-functions': {
    summary: 'any command of any service: vs-functions TARGET SERVICE.COMMAND [JSON]',
    flags: { list: word('every command'), version: word('the version') },
    run(given, words) {
      if (given['version']) show(['version']);
      else show(given['list'] ? ['call', '--list'] : ['call', ...words]);
      return [];
    },
  },
};

/** Classic commands whose parts of vs-tools are not there yet. */
export const later: Record<string, string> = {
  'vs-monitor': 'monitoring with mails',
  'vs-snapshot': 'the snapshot of a volume of LVM; for one vserver there is vs snapshot',
  'vs-backup': 'backups',
};
