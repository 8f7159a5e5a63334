import { z } from 'zod';

/**
 * The policy routing of the classic, for a host whose vservers share its network stack (util-vserver): what has an address of a network
 * leaves by that network's device and gateway, whatever the host's own default route says. Pure: the caller reads and runs `ip`.
 */
export interface RoutedNetwork {
  vlan: number;
  /** The device that has the addresses, such as eth0.10. */
  device: string;
  subnet: string;
  gateway?: string | undefined;
  subnet6?: string | undefined;
  gateway6?: string | undefined;
}
type Family = 4 | 6;
export interface Rule {
  family: Family;
  priority: number;
  from: string;
  table: number;
}
export interface Route {
  family: Family;
  table: number;
  /** `default` or a subnet. */
  to: string;
  via?: string | undefined;
  device: string;
}
/** What this host has of vs-tools: rules and routes of its protocol number, and no others. */
export interface Routing {
  rules: Rule[];
  routes: Route[];
}
/** The words of one `ip` command. */
export type Step = string[];

/** Marks what vs-tools has made (ip-route(8), ip-rule(8): protocol); whatever has another is not ours to touch. */
export const protocol = 118;

/** The table of a network: its VLAN, as in the classic; 253 to 255 are the kernel's default, main and local, and get another number. */
export const tableOf = (vlan: number): number => (vlan >= 253 && vlan <= 255 ? 10_000 + vlan : vlan);
const priorityOf = (vlan: number): number => 20_000 + vlan;

/** An IPv6 address or subnet as `ip` prints it. */
function printed6(text: string): string {
  const [address = '', prefix] = text.split('/');
  const short = new URL(`http://[${address}]`).hostname.slice(1, -1);
  return prefix === undefined ? short : `${short}/${prefix}`;
}

function wanted(networks: RoutedNetwork[]): Routing {
  const families = networks.flatMap((network) => [
    { ...network, family: 4 as const, net: network.subnet, via: network.gateway },
    ...(network.subnet6
      ? [
          {
            ...network,
            family: 6 as const,
            net: printed6(network.subnet6),
            via: network.gateway6 && printed6(network.gateway6),
          },
        ]
      : []),
  ]);
  return {
    rules: families.map(({ family, vlan, net }) => ({
      family,
      priority: priorityOf(vlan),
      from: net,
      table: tableOf(vlan),
    })),
    // without a gateway its addresses reach their own network alone: not by the default of the host
    routes: families.flatMap(({ family, vlan, net, via, device }) => [
      { family, table: tableOf(vlan), to: net, device },
      ...(via ? [{ family, table: tableOf(vlan), to: 'default', via, device }] : []),
    ]),
  };
}

const same = (one: object, other: object): boolean => JSON.stringify(key(one)) === JSON.stringify(key(other));
const key = (one: object) =>
  Object.entries(one)
    .filter(([, value]) => value !== undefined)
    .sort(([a], [b]) => a.localeCompare(b));
const without = <T extends object>(all: T[], others: T[]): T[] =>
  all.filter((one) => !others.some((other) => same(one, other)));

const ruleStep = (verb: 'add' | 'del', { family, priority, from, table }: Rule): Step => [
  `-${family}`,
  'rule',
  verb,
  'priority',
  String(priority),
  'from',
  from,
  'table',
  String(table),
  'protocol',
  String(protocol),
];
const routeStep = (verb: 'add' | 'replace' | 'del', { family, table, to, via, device }: Route): Step => [
  `-${family}`,
  'route',
  verb,
  to,
  ...(via ? ['via', via] : []),
  'dev',
  device,
  'table',
  String(table),
  'protocol',
  String(protocol),
];

/**
 * The steps from what is there to what these networks need; none when all is there. Routes come before the rule that leads to them, and go
 * after it, so that no packet finds an empty table and takes the host's default route.
 */
export function planPolicyRouting(networks: RoutedNetwork[], current: Routing): Step[] {
  const goal = wanted(networks);
  const subnetsFirst = (one: Route, other: Route) =>
    Number(one.to === 'default') - Number(other.to === 'default');
  // `replace` would also overwrite what another has put into the table; `add` fails there, as it should
  const held = (routes: Route[], { family, table, to }: Route): boolean =>
    routes.some((one) => one.family === family && one.table === table && one.to === to);
  return [
    ...without(goal.routes, current.routes)
      .sort(subnetsFirst)
      .map((route) => routeStep(held(current.routes, route) ? 'replace' : 'add', route)),
    ...without(goal.rules, current.rules).map((rule) => ruleStep('add', rule)),
    ...without(current.rules, goal.rules).map((rule) => ruleStep('del', rule)),
    ...without(current.routes, goal.routes)
      .filter((route) => !held(goal.routes, route))
      .sort((one, other) => subnetsFirst(other, one))
      .map((route) => routeStep('del', route)),
  ];
}

const text = z.union([z.string(), z.number()]).transform(String);
const ruleJson = z.looseObject({
  priority: z.int(),
  src: z.string(),
  srclen: z.int().optional(),
  table: text,
  protocol: text.optional(),
});
const routeJson = z.looseObject({
  dst: z.string(),
  gateway: z.string().optional(),
  dev: z.string().optional(),
  table: text.optional(),
  protocol: text.optional(),
});
const ours = (one: { protocol?: string | undefined }): boolean => one.protocol === String(protocol);

/** Our rules in what `ip -N -j -4|-6 rule show` prints. */
export function readRules(family: Family, json: string): Rule[] {
  const all = z.array(ruleJson).parse(JSON.parse(json || '[]'));
  return all.filter(ours).map((rule) => ({
    family,
    priority: rule.priority,
    from: rule.srclen === undefined ? rule.src : `${rule.src}/${rule.srclen}`,
    table: Number(rule.table),
  }));
}

/** Our routes in what `ip -N -j -4|-6 route show table all` prints. */
export function readRoutes(family: Family, json: string): Route[] {
  const all = z.array(routeJson).parse(JSON.parse(json || '[]'));
  return all.filter(ours).map((route) => ({
    family,
    table: Number(route.table ?? 254),
    to: route.dst,
    via: route.gateway,
    device: route.dev ?? '',
  }));
}
