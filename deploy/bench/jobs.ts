import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Pair } from './certificates.ts';
import { type Client, enter, pubackOf, publishOf, readPublish, types } from './wire.ts';

/** Enters the first of each user alone (its password is derived once), then all others, a hundred at a time. */
async function enterAll(port: number, all: { user: string; id: string }[]): Promise<Client[]> {
  const clients: Client[] = [];
  for (let at = 0; at < all.length; at += 100)
    clients.push(...(await Promise.all(all.slice(at, at + 100).map((one) => enter({ port, ...one })))));
  return clients;
}
const numbers = (count: number) => Array.from({ length: count }, (_, number) => number);

/** What an agent says of a vserver each 5 s. */
const metricsOf = (number: number) =>
  JSON.stringify({
    ts: 1_795_000_000_000 + number,
    mem_bytes: 134_217_728 + number,
    mem_limit_bytes: 1_073_741_824,
    mem_pct: 12.5,
    cpu_pct: 3.2,
    cpu_seconds_total: 1234.56,
    procs: 42,
    load_1: 0.12,
    disk_bytes: 1_234_567_890,
    net_rx_bytes: 987_654_321,
    net_tx_bytes: 123_456_789,
  });

/** CLIENTS of the hosts, each with TOPICS of metrics, each topic every 5 s, evenly spread; QoS 0. */
async function load(o: { port: number; hosts: string[]; clients: number; topics: number; seconds: number }) {
  const all = numbers(o.clients).map((n) => {
    const user = o.hosts[n % o.hosts.length] ?? '';
    return { user, id: `${user}-${n}` };
  });
  await Promise.all(o.hosts.map((user) => enter({ port: o.port, user }))); // derives the passwords once
  const clients = await enterAll(o.port, all);
  const slots = numbers(o.clients * o.topics)
    .map((n) => {
      const client = n % o.clients;
      const topic = `vs/1/hosts/${all[client]?.user}/vservers/v${client}-${Math.floor(n / o.clients)}/metrics`;
      return { client: clients[client], bytes: publishOf(topic, metricsOf(n)), order: (n * 7919) % 100_003 };
    })
    .sort((a, b) => a.order - b.order);
  return async () => {
    const begun = performance.now();
    const each = 5000 / slots.length;
    let [sent, late] = [0, 0];
    while (performance.now() - begun < o.seconds * 1000) {
      const due = Math.floor((performance.now() - begun) / each);
      late = Math.max(late, (due - sent) * each);
      for (; sent < due; sent++) {
        const slot = slots[sent % slots.length];
        slot?.client?.write(slot.bytes);
      }
      await sleep(5);
    }
    return { sent, lateMs: Math.round(late) };
  };
}

/** A subscriber of a filter that counts. */
async function listen(o: { port: number; filter: string; seconds: number }) {
  const client = await enter({ port: o.port, user: 'master', id: 'master-bench' });
  let heard = 0;
  client.on((packet) => {
    if (packet.type === types.publish) heard++;
  });
  await client.subscribe(o.filter, 0);
  return async () => {
    heard = 0;
    await sleep(o.seconds * 1000 + 500);
    return { heard };
  };
}

/** Commands of an operator, one after the other, to agents that answer at once; all of QoS 1. Milliseconds from asking to answer. */
async function command(o: { port: number; hosts: string[]; seconds: number }) {
  for (const host of o.hosts) {
    const agent = await enter({ port: o.port, user: host, id: `${host}-agent` });
    let id = 0;
    agent.on((packet) => {
      if (packet.type !== types.publish) return;
      const { payload, messageId = 0 } = readPublish(packet);
      const asked = JSON.parse(payload.toString()) as { id: string; replyTo: string };
      agent.write(
        Buffer.concat([
          pubackOf(messageId),
          publishOf(
            asked.replyTo,
            JSON.stringify({ id: asked.id, ok: true, data: {} }),
            1,
            (id % 60_000) + 1,
          ),
        ]),
      );
      id++;
    });
    await agent.subscribe(`vs/1/hosts/${host}/commands/#`, 1);
  }
  const operator = await enter({ port: o.port, user: 'operator', id: 'operator-bench' });
  await operator.subscribe('vs/1/hosts/+/replies/operator-bench', 1);
  let answered = (_id: string) => {};
  operator.on((packet) => {
    if (packet.type !== types.publish) return;
    const { payload, messageId = 0 } = readPublish(packet);
    operator.write(pubackOf(messageId));
    answered((JSON.parse(payload.toString()) as { id: string }).id);
  });
  return async () => {
    const times: number[] = [];
    const end = performance.now() + o.seconds * 1000;
    for (let n = 1; performance.now() < end; n++) {
      const host = o.hosts[n % o.hosts.length];
      const replyTo = `vs/1/hosts/${host}/replies/operator-bench`;
      const begun = performance.now();
      const answer = new Promise<void>((resolve) => {
        answered = (id) => id === `c${n}` && resolve();
      });
      const asked = JSON.stringify({ id: `c${n}`, replyTo, issuer: 'operator', args: { name: 'web1' } });
      operator.write(publishOf(`vs/1/hosts/${host}/commands/host-agent/start`, asked, 1, (n % 60_000) + 1));
      await answer;
      times.push(performance.now() - begun);
      await sleep(10);
    }
    return { times };
  };
}

/** Retained states from FROM to TO, QoS 1, a hundred of each host on their way at a time. */
async function retain(o: { port: number; hosts: string[]; from: number; to: number }) {
  const clients = await enterAll(
    o.port,
    o.hosts.map((user) => ({ user, id: `${user}-state` })),
  );
  return async () => {
    const begun = performance.now();
    await Promise.all(
      clients.map(async (client, place) => {
        const all = numbers(o.to - o.from)
          .map((n) => n + o.from)
          .filter((n) => n % clients.length === place);
        let [next, acknowledged] = [0, 0];
        await new Promise<void>((resolve) => {
          const send = () => {
            const n = all[next++];
            if (n === undefined) return;
            const topic = `vs/1/hosts/${o.hosts[place]}/vservers/web${n}/state`;
            const payload = JSON.stringify({
              state: 'running',
              enabled: true,
              epoch: n,
              ts: 1_795_000_000_000,
            });
            client.write(publishOf(topic, payload, 1, (next % 60_000) + 1, true));
          };
          client.on((packet) => {
            if (packet.type !== types.puback) return;
            if (++acknowledged === all.length) resolve();
            else send();
          });
          for (let n = 0; n < 100; n++) send();
        });
      }),
    );
    return { seconds: (performance.now() - begun) / 1000 };
  };
}

/** SUBSCRIBE to one retained topic each: milliseconds until its message is there. */
async function subscribe(o: { port: number; hosts: string[]; rounds: number }) {
  const client = await enter({ port: o.port, user: 'master', id: 'master-one' });
  let heard = () => {};
  client.on((packet) => packet.type === types.publish && heard());
  return async () => {
    const times: number[] = [];
    for (let n = 0; n < o.rounds; n++) {
      const arrived = new Promise<void>((resolve) => (heard = resolve));
      const begun = performance.now();
      await client.subscribe(`vs/1/hosts/+/vservers/web${n * 7}/state`, 0);
      await arrived;
      times.push(performance.now() - begun);
      await sleep(5);
    }
    return { times };
  };
}

/** A new subscriber of everything: how many of COUNT retained messages came, and in how many seconds. */
async function replay(o: { port: number; count: number }) {
  const client = await enter({ port: o.port, user: 'master', id: 'master-all' });
  return async () => {
    let heard = 0;
    const begun = performance.now();
    let last = begun;
    client.on((packet) => {
      if (packet.type !== types.publish) return;
      heard++;
      last = performance.now();
    });
    await client.subscribe('vs/1/#', 0);
    while (heard < o.count && performance.now() - last < 5000) await sleep(20);
    return { heard, seconds: (last - begun) / 1000 };
  };
}

/** Clients with certificates, all at once: how many are in, after how many seconds, and why not. */
async function certificates(o: { port: number; file: string; from: number; to: number }) {
  const { ca, pairs } = JSON.parse(readFileSync(o.file, 'utf8')) as {
    ca: string;
    pairs: ({ name: string } & Pair)[];
  };
  const mine = pairs.slice(o.from, o.to);
  return async () => {
    const begun = performance.now();
    const results = await Promise.allSettled(
      mine.map(({ name, cert, key }) =>
        enter({ port: o.port, user: name, tls: { ca, cert, key, servername: 'localhost' } }),
      ),
    );
    const failed = results.flatMap((one) => (one.status === 'rejected' ? [String(one.reason)] : []));
    const seconds = (performance.now() - begun) / 1000;
    return { entered: results.length - failed.length, seconds, failure: failed[0] ?? '' };
  };
}

/** One subscriber that does not read among others that do: the latter's milliseconds from PUBLISH to delivery. */
async function frozen(o: { port: number; host: string; seconds: number }) {
  const publisher = await enter({ port: o.port, user: o.host, id: `${o.host}-loud` });
  const frozenOne = await enter({ port: o.port, user: 'master', id: 'master-frozen' });
  frozenOne.socket.on('error', () => undefined);
  await frozenOne.subscribe('vs/1/#', 1);
  const good = await enter({ port: o.port, user: 'operator', id: 'operator-good' });
  const times: number[] = [];
  good.on((packet) => {
    if (packet.type !== types.publish) return;
    const { payload, messageId } = readPublish(packet);
    if (messageId !== undefined) good.write(pubackOf(messageId));
    times.push(performance.now() - Number(payload.toString('latin1', 0, 20)));
  });
  await good.subscribe(`vs/1/hosts/${o.host}/#`, 1);
  return async () => {
    frozenOne.socket.pause();
    const end = performance.now() + o.seconds * 1000;
    let sent = 0;
    const filler = Buffer.alloc(20_000, 120);
    while (performance.now() < end) {
      const payload = Buffer.concat([Buffer.from(String(performance.now()).padEnd(20)), filler]);
      const topic = `vs/1/hosts/${o.host}/${sent % 2 ? 'events/bench' : 'metrics'}`;
      publisher.write(publishOf(topic, payload, sent % 2 ? 1 : 0, (sent % 60_000) + 1));
      sent++;
      await sleep(2);
    }
    await sleep(500);
    return { times, sent };
  };
}

export const jobs = { load, listen, command, retain, subscribe, replay, certificates, frozen };
