// node:fs, as the simulated processes see it: the disk of their node
import { constants as numbers } from 'node:fs';
import { enter } from '../current.ts';
import * as now from './calls.ts';

const call =
  <A extends unknown[], T>(name: string, act: (...args: A) => T) =>
  (...args: A): T => {
    enter(name);
    return act(...args);
  };

/** The hooks of services lie in the repository, and are read from nowhere. */
export const constants = numbers;
export const mkdirSync = call('mkdir', now.mkdir);
export const readdirSync = call('readdir', now.readdir);
export const readFileSync = call('read', (path: string | number, options?: unknown) =>
  typeof path === 'number' ? now.readFd(path) : now.readFile(path, options),
);
export const writeFileSync = call('write', (path: string | number, text: string, options?: object) =>
  typeof path === 'number' ? now.append(path, text) : now.writeFile(path, text, options),
);
export const appendFileSync = call('append', (path: string | number, text: string) =>
  typeof path === 'number' ? now.append(path, text) : now.appendFile(path, text),
);
export const writeSync = call('write', (fd: number, text: string) => {
  now.append(fd, text);
  return text.length;
});
export const renameSync = call('rename', now.rename);
export const rmSync = call('rm', now.rm);
export const unlinkSync = call('unlink', now.unlink);
export const linkSync = call('link', now.link);
export const truncateSync = call('truncate', now.truncate);
export const ftruncateSync = call('truncate', now.truncateFd);
export const openSync = call('open', now.open);
export const closeSync = call('close', now.close);
export const fsyncSync = call('fsync', now.sync);
export const fstatSync = call('fstat', now.statFd);
export const chmodSync = call('chmod', () => undefined);
export const existsSync = call('stat', (path: string): boolean => now.statAny(path) !== undefined);
export const statSync = call('stat', (path: string, options: { throwIfNoEntry?: boolean } = {}) =>
  options.throwIfNoEntry === false ? now.statAny(path) : now.stat(path, true),
);
export const lstatSync = statSync;
export const realpathSync = call('realpath', now.realpath);
const absent = (name: string) => () => {
  throw new Error(`${name} is not simulated`);
};
export const createReadStream = absent('createReadStream');
export const createWriteStream = absent('createWriteStream');
export const watch = absent('watch');
