import { mkdir } from 'node:fs/promises';
import { writeConfig } from '../../broker/external/file.ts';
import { mosquittoConfig } from '../../broker/external/mosquitto.ts';
import { natsConfig } from '../../broker/external/nats.ts';
import { usersFile } from '../../broker/users.ts';
import { loadSettings } from '../../config/settings.ts';
import { VsError } from '../../shared/errors.ts';
import { readJson } from '../../shared/store.ts';
import { type Lab, nodesOf, password, paths } from './model.ts';

const root = new URL('../..', import.meta.url).pathname;
const inside = '/etc/vs-tools';
const state = '/var/lib/vs-tools';
const tls = { cert: `${state}/tls/host.pem`, key: `${state}/tls/host.key`, ca: `${state}/tls/ca.pem` };
const natsNodes = (address: string) =>
  [0, 1, 2].map((n) => ({ name: `n${n + 1}`, address, port: 8883 + n * 10, routePort: 6222 + n }));
const masterOf = (lab: Lab): string => nodesOf(lab)[0]?.address ?? '';

/** BROKER_URL of the nodes: mosquitto's listener for certificates, or all of NATS. */
export function brokerUrlOf(lab: Lab): string {
  const address = masterOf(lab);
  if (lab.broker !== 'nats') return `mqtts://${address}:8883`;
  return natsNodes(address)
    .map((node) => `mqtts://${address}:${node.port}`)
    .join(',');
}

/**
 * The processes on the master: those of the broker, and one named `broker` that carries this machine's clients to it from
 * the socket that it inherits.
 */
export function brokerServices(lab: Lab): Record<string, string[]> {
  const address = masterOf(lab);
  const forward = (...ports: number[]) => [
    process.execPath,
    `${root}deploy/lab/forward.ts`,
    ...ports.map((port) => `${address}:${port}`),
  ];
  if (lab.broker === 'mosquitto')
    return {
      mosquitto: ['/usr/sbin/mosquitto', '-c', `${inside}/mosquitto/mosquitto.conf`],
      broker: forward(8884),
    };
  const nodes = natsNodes(address);
  return {
    ...Object.fromEntries(
      nodes.map(({ name }) => [
        `nats-${name}`,
        ['/usr/sbin/nats-server', '-c', `${inside}/nats/${name}/nats.conf`],
      ]),
    ),
    broker: forward(...nodes.map((node) => node.port)),
  };
}

/** Writes into the master's files what `vs broker config` would. */
export async function writeBroker(lab: Lab, etc: string): Promise<void> {
  const found = await readJson(`${etc}/broker-users.json`, usersFile);
  if (!found) throw new VsError('internal', `${etc}/broker-users.json is not there yet`);
  const limits = loadSettings({ file: '/nonexistent', env: {} });
  const files =
    lab.broker === 'mosquitto'
      ? mosquittoConfig(
          found.users,
          {
            ...tls,
            out: `${inside}/mosquitto`,
            data: `${state}/mosquitto`,
            certificates: '8883',
            passwords: '8884',
            runAs: 'root',
          },
          limits,
        ).files
      : natsConfig(
          found.users,
          {
            ...tls,
            out: `${inside}/nats`,
            data: `${state}/nats/NODE`,
            nodes: natsNodes(masterOf(lab)),
            secret: Buffer.from(await password(lab.name, 'cluster')).toString('hex'),
          },
          limits,
        );
  await mkdir(`${paths(lab.name).node('master')}/state/${lab.broker}`, { recursive: true, mode: 0o700 });
  await writeConfig(files.map((one) => ({ ...one, path: one.path.replace(inside, etc) })));
}
