import { authorityIn, createAuthority, openAuthority, altNamesOf } from '../../services/authority/ca.ts';
import { checkIdentity, installIdentity, readIdentity } from '../../shared/identity.ts';
import { makeRequest, newKey } from '../../shared/openssl.ts';
import { writeFileDurable } from '../../shared/store.ts';
import { existsSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { type Lab, type LabNode, paths } from './model.ts';

const DAY = 86_400_000;

/** Does the node have a certificate of this authority that lasts? */
function isGood(directory: string, name: string, authority: string): boolean {
  try {
    const own = readIdentity(directory);
    if (own?.authority !== authority) return false;
    return checkIdentity(own, name).validToDate.getTime() > Date.now() + DAY;
  } catch {
    return false;
  }
}

/** Gives a node key and certificate of the lab's own authority, which lies on its master; once, and again before the end. */
export async function certify(lab: Lab, node: LabNode): Promise<void> {
  const master = `${paths(lab.name).node('master')}/state`;
  await createAuthority(master);
  const authority = await openAuthority(master);
  const state = `${paths(lab.name).node(node.name)}/state`;
  const directory = `${state}/tls`;
  if (isGood(directory, node.name, authority.pem)) return;
  const own = node.role === 'master' ? ['localhost', '127.0.0.1', '::1'] : [];
  const names = altNamesOf([node.address, node.name, ...own]);
  const keyFile = `${state}/lab-key/host.key`;
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const key = newKey();
  await writeFileDurable(keyFile, key);
  const request = await makeRequest(keyFile, node.name);
  const certificate = await authority.issue({ request, name: node.name, names, days: 90 });
  await installIdentity(directory, { authority: authority.pem, certificate, key });
  await rm(`${state}/lab-key`, { recursive: true });
}

/** Certificates for this machine's clients, where the broker takes no passwords: secrets/USER.pem and USER.key. */
export async function certifyClients(lab: Lab, users: string[]): Promise<void> {
  const authority = await openAuthority(`${paths(lab.name).node('master')}/state`);
  for (const user of users) {
    const [file, keyFile] = [`${paths(lab.name).secret(user)}.pem`, `${paths(lab.name).secret(user)}.key`];
    if (existsSync(file)) continue;
    await writeFileDurable(keyFile, newKey());
    const request = await makeRequest(keyFile, user);
    await writeFileDurable(file, await authority.issue({ request, name: user, names: [], days: 90 }));
  }
}

/** PEM file of the lab's authority. */
export const authorityFile = (lab: string): string =>
  `${authorityIn(`${paths(lab).node('master')}/state`)}/ca.pem`;
