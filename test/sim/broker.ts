import type { Connection } from '../../shared/bus/connection.ts';
import { backoffMs } from '../../shared/bus/backoff.ts';
import { matches } from './parts/topics.ts';
import { type Client, type ClientOptions, lost, newClient } from './client.ts';
import { type Life, type Loop, type Random, runAs } from './loop.ts';
import type { Scenario } from './scenario.ts';

/** A silent peer is given up after so long (ms): one and a half times the keepalive. */
const SILENCE_MS = 15_000;
/** After its own restart the broker carries out the wills of those that did not come back for so long (ms). */
const WILL_MS = 15_000;

/** What it needs of the world. */
export interface Around {
  loop: Loop;
  random: Random;
  scenario: Scenario;
  isCut: (a: string, b: string) => boolean;
  onMessage: (topic: string, text: string) => void;
}

/**
 * The broker of the simulation, and the connections to it: QoS 1 with clean sessions. One connection keeps its order;
 * different ones overtake one another; a message may come twice; a cut holds all back until a side gives up.
 */
export function createBroker(world: Around) {
  const { loop, random } = world;
  const retained = new Map<string, string>();
  /** Those of them that are states of sagas. */
  const sagas = new Map<string, string>();
  /** Those that the broker takes for connected, and all that ever were. */
  const clients = new Set<Client>();
  const everyone = new Set<Client>();
  /** By topic; forgotten when anybody comes, goes or hears something else. */
  const hearers = new Map<string, Client[]>();
  let up = true;
  let life = 0;

  const latency = () => (random.chance(world.scenario.slow) ? random.between(20, 400) : random.between(1, 4));
  const reachable = (client: Client) =>
    up && client.life.node.powered && !world.isCut(client.life.node.name, 'master');

  function hearersOf(topic: string): Client[] {
    let those = hearers.get(topic);
    if (!those) {
      those = [...clients].filter(({ filters }) => [...filters].some((filter) => matches(filter, topic)));
      hearers.set(topic, those);
    }
    return those;
  }
  /** Carries something from one end of a connection to the other; in order, and not while it is cut. */
  function carry(client: Client, isUp: boolean, act: () => void): void {
    const { session } = client;
    const last = isUp ? client.lastUp : client.lastDown;
    const at = Math.max(last, loop.now() + latency());
    if (isUp) client.lastUp = at;
    else client.lastDown = at;
    loop.after(at - loop.now(), undefined, () => {
      if (world.isCut(client.life.node.name, 'master')) client.stalled.push({ up: isUp, act: arrive });
      else arrive();
    });
    function arrive(): void {
      if (client.session !== session) return;
      if (isUp ? client.known : client.open && !client.life.dead) {
        if (isUp) act();
        else runAs(client.life, act);
      }
    }
  }
  function down(client: Client, topic: string, text: string, wasRetained: boolean): void {
    carry(client, false, () => client.options.onMessage(topic, text as unknown as Buffer, wasRetained));
  }
  function publish(topic: string, text: string, retain: boolean): void {
    const isSaga = topic.startsWith('vs/1/sagas/');
    if (retain) {
      if (text === '') retained.delete(topic);
      else retained.set(topic, text);
      if (isSaga && text === '') sagas.delete(topic);
      else if (isSaga) sagas.set(topic, text);
    }
    world.onMessage(topic, text);
    // who asks for these (the master itself, at its start) only looks at those that were there before
    if (isSaga) return;
    for (const client of hearersOf(topic)) {
      down(client, topic, text, false);
      if (world.scenario.twice > 0 && random.chance(world.scenario.twice)) down(client, topic, text, false);
    }
  }
  /** The broker's side of a connection ends. */
  function forget(client: Client, isLost: boolean): void {
    if (!client.known) return;
    client.known = false;
    clients.delete(client);
    hearers.clear();
    if (isLost && client.options.will) publish(client.options.will.topic, client.options.will.text, true);
  }
  /** The process's side ends; it connects again. */
  function lose(client: Client): void {
    if (!client.open || client.life.dead) return;
    client.open = false;
    client.stalled = [];
    runAs(client.life, () => {
      for (const fail of client.waiting) fail(lost());
      client.waiting.clear();
      client.options.onLost();
    });
    connect(client);
  }
  function connect(client: Client): void {
    if (client.ended) return;
    loop.after(backoff(client), client.life, () => {
      if (!reachable(client)) return connect(client);
      client.failed = 0;
      client.session++;
      forget(client, false);
      Object.assign(client, {
        open: true,
        known: true,
        filters: new Set(),
        stalled: [],
        lastUp: 0,
        lastDown: 0,
      });
      clients.add(client);
      hearers.clear();
      client.options.onConnect();
    });
  }
  const backoff = (client: Client) =>
    client.failed++ === 0 ? latency() : backoffMs(client.failed, random.next);

  return {
    retained,
    sagas,
    clients,
    publish(topic: string, text: string): void {
      if (up) publish(topic, text, false);
    },
    connect(of: Life, options: ClientOptions): Connection {
      const client = newClient(of, options);
      everyone.add(client);
      connect(client);
      function answered<T>(atBroker: () => T): Promise<T> {
        if (!client.open) return Promise.reject(lost());
        return new Promise<T>((resolve, reject) => {
          client.waiting.add(reject);
          carry(client, true, () => {
            const value = atBroker();
            carry(client, false, () => {
              client.waiting.delete(reject);
              resolve(value);
            });
          });
        });
      }
      return {
        cluster: false,
        get connected() {
          return client.open;
        },
        send(topic, text, qos, retain) {
          if (of.dead) return new Promise(() => undefined);
          if (qos === 1) return answered(() => publish(topic, text, retain));
          if (!client.open) return Promise.reject(lost());
          carry(client, true, () => publish(topic, text, retain));
          return Promise.resolve();
        },
        subscribe: (filters) =>
          answered(() => {
            for (const filter of filters) client.filters.add(filter);
            hearers.clear();
            for (const [topic, text] of retained)
              if (filters.some((filter) => matches(filter, topic))) down(client, topic, text, true);
            return [];
          }),
        unsubscribe: (filter) =>
          answered(() => {
            client.filters.delete(filter);
            hearers.clear();
          }),
        reconnect() {
          forget(client, false);
          lose(client);
        },
        end() {
          client.ended = true;
          forget(client, false);
          client.open = false;
          return Promise.resolve();
        },
      };
    },
    /** A process ended: its connection is closed, which the broker sees unless the power or the way is gone. */
    gone(of: Life, silent: boolean): void {
      for (const client of clients)
        if (client.life === of)
          loop.after(silent ? random.between(10_000, SILENCE_MS + 5000) : latency(), undefined, () =>
            forget(client, true),
          );
    },
    /** The way between a node and the broker was cut: each side gives up by itself, if it lasts. */
    cut(node: string): void {
      for (const client of everyone) {
        if (client.life.node.name !== node) continue;
        const still = () => world.isCut(node, 'master');
        loop.after(random.between(8000, SILENCE_MS), undefined, () => still() && lose(client));
        loop.after(
          random.between(10_000, SILENCE_MS + 5000),
          undefined,
          () => still() && forget(client, true),
        );
      }
    },
    /** The way is there again: what waited arrives, and who was given up hears of it. */
    healed(node: string): void {
      for (const client of everyone) {
        if (client.life.node.name !== node || client.life.dead) continue;
        for (const { act } of client.stalled.splice(0)) act();
        if (client.open && !client.known) lose(client);
        else if (!client.open) forget(client, true);
      }
    },
    stop(silent: boolean): void {
      up = false;
      hearers.clear();
      life++;
      const mine = life;
      for (const client of clients) {
        client.known = false;
        clients.delete(client);
        loop.after(silent ? random.between(8000, SILENCE_MS) : latency(), undefined, () => lose(client));
        const { will } = client.options;
        // the wills are kept, and carried out when the broker is back and its client is not
        const carryOut = (): void => {
          if (life !== mine) return;
          if (!up) return void loop.after(1000, undefined, carryOut);
          if (!client.known && will)
            loop.after(WILL_MS, undefined, () => {
              if (life === mine && !client.known) publish(will.topic, will.text, true);
            });
        };
        loop.after(1000, undefined, carryOut);
      }
    },
    start(): void {
      up = true;
    },
    get up() {
      return up;
    },
  };
}
export type Broker = ReturnType<typeof createBroker>;
