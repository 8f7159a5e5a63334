import type { Agents } from '../../services/orchestrator/agent.ts';
import { VsError } from '../../shared/errors.ts';

export interface Tree {
  uuid: string;
  /** As its vserver.json calls it. */
  name: string;
  /** Stands for all of its files. */
  data: string;
  fresh?: boolean;
}
type Call = Record<string, unknown> & { name: string; saga: string };
interface Record_ {
  uuid: string;
  owner: boolean;
  epoch: number;
}

/**
 * Hosts in memory with vservers, staging, snapshots, trash and ownership. Every command may be repeated, refuses what the
 * real ones refuse, and the invariants are checked after each: never two, nothing runs that is not owned, no data is lost.
 */
export function world(start: {
  trees?: Record<string, Tree>;
  running?: string[];
  owners?: Record<string, number>;
  trash?: Record<string, Tree>;
  /** Kept snapshots by host, uuid and name. */
  kept?: Record<string, Tree>;
  /** How many copies of web1's data there are at least, at every instant. */
  keep: number;
}) {
  const trees = new Map(Object.entries(structuredClone(start.trees ?? {})));
  const staged = new Map<string, Tree | 'empty'>();
  const trash = new Map(Object.entries(structuredClone(start.trash ?? {})));
  const kept = new Map(Object.entries(structuredClone(start.kept ?? {})));
  const aside = new Map<string, Tree>();
  const running = new Set(start.running ?? []);
  const locks = new Set<string>();
  const snapshots = new Map<string, Tree>();
  const adopted = new Map<string, string>();
  const records = new Map<string, Record_>();
  for (const [key, epoch] of Object.entries(start.owners ?? {}))
    records.set(key, { uuid: trees.get(key)?.uuid ?? '', owner: true, epoch });
  const refuse: (message: string) => never = (message) => {
    throw new VsError('refused', message);
  };
  const conflict: (message: string) => never = (message) => {
    throw new VsError('conflict', message);
  };
  const stage = (host: string, { name, saga }: { name: string; saga: string }) => `${host}/${name}/${saga}`;
  const stagedTree = (key: string): Tree => {
    const tree = staged.get(key);
    return tree === undefined || tree === 'empty' ? conflict(`nothing is staged at ${key}`) : tree;
  };

  const act: Record<string, (host: string, args: Call) => object | void> = {
    'host-agent.lock': (host, { name }) => {
      locks.add(`${host}/${name}`);
      const own = records.get(`${host}/${name}`);
      return {
        epoch: own?.owner ? own.epoch : 0,
        enabled: false,
        uuid: trees.get(`${host}/${name}`)?.uuid,
        state: running.has(`${host}/${name}`) ? 'running' : 'stopped',
      };
    },
    'host-agent.unlock': (host, { name }) => void locks.delete(`${host}/${name}`),
    'host-agent.show': (host, { name }) => ({ config: { ...trees.get(`${host}/${name}`) } }),
    'host-agent.stop': (host, { name }) => void running.delete(`${host}/${name}`),
    'host-agent.start': (host, { name }) => {
      const key = `${host}/${name}`;
      const own = records.get(key);
      if (!trees.has(key)) refuse(`${key} is not there`);
      if (!own?.owner || own.uuid !== trees.get(key)?.uuid) refuse(`${key} is not owned`);
      running.add(key);
    },
    'host-agent.release': (host, { name, epoch }) => {
      const key = `${host}/${name}`;
      const own = records.get(key);
      if (running.has(key)) refuse('it runs');
      if (!own || own.epoch !== epoch) conflict(`${key} was never claimed`);
      own.owner = false;
    },
    'host-agent.claim': (host, { name, epoch }) => {
      const key = `${host}/${name}`;
      const tree = trees.get(key);
      if (!tree) refuse(`${key} is not there`);
      records.set(key, { uuid: tree.uuid, owner: true, epoch: Number(epoch) });
    },
    'host-agent.adapt': (host, args) => {
      const config = args['config'] as Tree;
      const tree = stagedTree(stage(host, args));
      Object.assign(tree, {
        uuid: config.uuid,
        name: config.name,
        ...(args['fresh'] ? { fresh: true } : {}),
      });
    },
    'host-agent.install': (host, args) => (
      act['host-agent.adapt']?.(host, { ...args, fresh: true }),
      { bytes: 1, files: 1 }
    ),
    'snapshot.allocate': (host, args) => {
      if (!staged.has(stage(host, args)) && args['tree']) staged.set(stage(host, args), 'empty');
      return { path: '', free: 1e9 };
    },
    'snapshot.discard': (host, args) => {
      staged.delete(stage(host, args));
      aside.delete(stage(host, args));
    },
    'snapshot.return-to': (host, args) => {
      const tree = trees.get(`${host}/${args.name}`);
      const from = kept.get(`${host}/${tree?.uuid}/${String(args['snapshot'])}`);
      if (!from) refuse('no such snapshot');
      if (!aside.has(stage(host, args))) staged.set(stage(host, args), structuredClone(from));
      return { config: structuredClone(from) };
    },
    'snapshot.safety': (host, args) => {
      if (running.has(`${host}/${args.name}`)) refuse('it runs');
      const tree = trees.get(`${host}/${args.name}`);
      if (!tree) refuse('no tree');
      kept.set(`${host}/${tree.uuid}/${String(args['snapshot'])}`, structuredClone(tree));
    },
    'snapshot.drop': (host, args) => {
      const tree = trees.get(`${host}/${args.name}`);
      for (const one of args['snapshots'] as string[]) kept.delete(`${host}/${tree?.uuid}/${one}`);
    },
    'snapshot.rekey': (host, args) => {
      for (const [key, tree] of kept) {
        if (!key.startsWith(`${host}/${String(args['from'])}/`)) continue;
        kept.delete(key);
        kept.set(key.replace(String(args['from']), String(args['to'])), tree);
      }
    },
    'snapshot.exchange': (host, args) => {
      const [key, at] = [`${host}/${args.name}`, stage(host, args)];
      if (running.has(key)) refuse('it runs');
      const [now, next, before] = [trees.get(key), staged.get(at), aside.get(at)];
      if (args['back']) {
        if (!before) return;
        if (now) staged.set(at, now);
        aside.delete(at);
        trees.set(key, before);
      } else if (!(now && before && !next)) {
        if (next === undefined || next === 'empty') conflict('nothing is staged');
        if (!before && now) aside.set(at, now);
        trees.set(key, next);
        staged.delete(at);
      }
    },
    'snapshot.fork': (host, args) => {
      const of = trees.get(`${host}/${String(args['of'])}`);
      if (!of) refuse('no original');
      staged.set(stage(host, args), structuredClone(of));
    },
    'snapshot.create': (host, { name }) => {
      const tree = trees.get(`${host}/${name}`);
      if (!tree) refuse('no original');
      snapshots.set(`${host}/${name}`, structuredClone(tree));
    },
    'snapshot.renew': (host, args) => act['snapshot.create']?.(host, args),
    'snapshot.remove': (host, { name }) => void snapshots.delete(`${host}/${name}`),
    'snapshot.promote': (host, args) => {
      if (!trees.has(`${host}/${args.name}`)) stagedTree(stage(host, args));
    },
    'snapshot.adopt': (host, args) => {
      const key = `${host}/${args.name}`;
      const tree = staged.get(stage(host, args));
      if (trees.has(key)) {
        if (adopted.get(key) === args.saga && !tree) return;
        conflict(`${key} is there already`);
      }
      trees.set(key, stagedTree(stage(host, args)));
      staged.delete(stage(host, args));
      adopted.set(key, args.saga);
    },
    'snapshot.evict': (host, args) => {
      const key = `${host}/${args.name}`;
      if (records.get(key)?.owner) refuse(`${key} is owned`);
      const tree = trees.get(key);
      if (!tree || adopted.get(key) !== args.saga) return;
      staged.set(stage(host, args), tree);
      trees.delete(key);
    },
    'snapshot.restage': (host, args) => {
      const key = `${host}/${args.name}`;
      const to = { name: String(args['to']), saga: args.saga };
      if (records.get(key)?.owner) refuse(`${key} is owned`);
      const tree = trees.get(key);
      if (tree) {
        staged.set(stage(host, to), tree);
        trees.delete(key);
      } else if (!staged.has(stage(host, to)) && adopted.get(`${host}/${to.name}`) !== args.saga)
        refuse(`${key} is not there`);
    },
    'snapshot.trash': (host, args) => {
      const key = `${host}/${args.name}`;
      if (records.get(key)?.owner) refuse(`${key} is owned`);
      const tree = trees.get(key);
      if (tree) trash.set(`${host}/${args.name}/${args.saga}`, tree);
      trees.delete(key);
      return { until: 0 };
    },
    'snapshot.empty': (host, args) => {
      for (const { name, entry } of args['entries'] as { name: string; entry: string }[])
        trash.delete(`${host}/${name}/${entry}`);
      return { emptied: 1, freed: 1 };
    },
    'snapshot.recall': (host, args) => {
      const key = `${host}/${String(args['of'])}/${String(args['entry'])}`;
      const tree = trash.get(key);
      if (tree) staged.set(stage(host, args), tree);
      else stagedTree(stage(host, args));
      trash.delete(key);
    },
    'snapshot.return': (host, args) => {
      const tree = staged.get(stage(host, args));
      if (tree && tree !== 'empty') trash.set(`${host}/${String(args['of'])}/${String(args['entry'])}`, tree);
      staged.delete(stage(host, args));
    },
    'transfer.open': () => ({ address: '10.0.0.2', port: 1, secret: 'SECRET', received: [] }),
    'transfer.send': (host, args) => {
      const { name, saga, label } = args;
      if (args['renew']) act['snapshot.renew']?.(host, args);
      const from = label ? snapshots.get(`host1/${name}`) : trees.get(`host1/${name}`);
      if (!from) refuse('no original');
      staged.set(`host2/web2/${saga}`, structuredClone(from));
      return { bytes: 100, ms: 1, began: 1 };
    },
  };

  function check(): void {
    const uuids = [...running].map((key) => {
      const own = records.get(key);
      if (!own?.owner) throw new Error(`${key} runs and is not owned`);
      return trees.get(key)?.uuid;
    });
    if (new Set(uuids).size !== uuids.length) throw new Error('two copies run');
    const owned = [...records.values()].filter((one) => one.owner).map((one) => one.uuid);
    if (new Set(owned).size !== owned.length) throw new Error('two owners');
    const whole = [
      ...trees.values(),
      ...staged.values(),
      ...trash.values(),
      ...kept.values(),
      ...aside.values(),
    ].filter((one) => one !== 'empty' && one.data === 'web1');
    if (whole.length < start.keep) throw new Error('the data is lost');
  }
  const calls: string[] = [];
  const fault: { at?: number; forever?: string } = {};
  const violations: string[] = [];
  const agents: Agents = {
    seal: (_host, secret) => `sealed ${secret.length}`,
    async ask(host, command, args, context) {
      context.command(command);
      calls.push(`${command}@${host}`);
      const given = { saga: context.id, ...(args as object) } as Call;
      const result = act[command]?.(host, given) ?? {}; // the effect may have happened although the answer is an error
      try {
        check();
      } catch (error) {
        violations.push(`${calls.length} ${command}: ${String(error)}`);
      }
      if (calls.length === fault.at || fault.forever === `${command}@${host}`)
        throw new VsError('failed', 'no space left');
      return result as never;
    },
  };
  const sorted = (map: Map<string, unknown>) =>
    Object.fromEntries([...map].sort(([a], [b]) => a.localeCompare(b)));
  const view = () => ({
    trees: sorted(trees),
    staged: sorted(staged),
    trash: sorted(trash),
    ...(start.kept ? { kept: sorted(kept), aside: sorted(aside) } : {}),
    running: [...running].sort(),
    locks: [...locks].sort(),
    snapshots: [...snapshots.keys()].sort(),
    owners: Object.fromEntries(
      [...records].filter(([, one]) => one.owner).map(([key, one]) => [key, one.epoch]),
    ),
  });
  return { agents, calls, fault, violations, view };
}
