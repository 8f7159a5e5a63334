import { type ChildProcess, spawn } from 'node:child_process';
import { VsError } from '../../shared/errors.ts';
import { type Lab, namespaceFile, nodeOf } from './model.ts';
import { initOf } from './processes.ts';

/** What is another place in a node than on the machine (init.pl). */
const OTHERS = /^\/(proc|sys|run|etc|var\/lib)(\/|$)/;

/**
 * The words in front of a command that carry it into a node, or into `switch`, `router` or `prober`; in a node it begins in
 * this directory, where that is the same there.
 */
export async function entering(lab: Lab, part: string, directory = '/'): Promise<string[]> {
  if (['switch', 'router', 'prober'].includes(part)) {
    return ['nsenter', `--net=${namespaceFile(lab.name, part)}`, '--'];
  }
  const node = nodeOf(lab, part);
  const init = await initOf(lab.name, node.name);
  if (init === undefined) {
    throw new VsError(
      'unavailable',
      `${part} of lab ${lab.name} is off. Boot it: vs lab boot ${part} --name ${lab.name}`,
    );
  }
  const place = OTHERS.test(directory) ? '/' : directory;
  return ['nsenter', '-t', String(init), '-m', '-n', '-p', '-u', '-i', `--wdns=${place}`, '--'];
}

/** The environment inside: that of the caller without what points the command line at a lab. */
function cleanEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([key]) => !key.startsWith('VS_')));
}

/** Runs a command with this process's own streams, passes signals on, and answers its exit code. */
export async function foreground(argv: string[]): Promise<number> {
  const [file = '', ...args] = argv;
  const child: ChildProcess = spawn(file, args, { stdio: 'inherit', env: cleanEnvironment() });
  const pass = (name: NodeJS.Signals) => void child.kill(name);
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, pass);
  try {
    return await new Promise((resolve, reject) => {
      child.once('error', (error) =>
        reject(new VsError('failed', `${file} does not start: ${error.message}.`)),
      );
      child.once('close', (code, signal) => resolve(code ?? (signal === 'SIGINT' ? 130 : 143)));
    });
  } finally {
    for (const name of ['SIGINT', 'SIGTERM'] as const) process.off(name, pass);
  }
}
