import type { Command } from 'commander';

/** What stands in a place of a command line: names that the pool knows, or what nobody can guess. */
export type Kind = 'vserver' | 'host' | 'file' | '';
/** A command as completion needs it. */
export interface Words {
  /** `snapshot create`; empty: vs itself. */
  path: string;
  below: string[];
  options: string[];
  /** Options that take a value, and which. */
  values: Record<string, Kind>;
  arguments: Kind[];
  /** The last argument may stand again and again. */
  more: boolean;
}

const named: Record<string, Kind> = {
  host: 'host',
  hosts: 'host',
  target: 'host',
  to: '',
  directory: 'file',
  file: 'file',
};
/** Verbs whose `name` is no vserver, by the beginning of their path. */
const others = /^(host|user|template|broker|lab|service|net|copies|saga) /;
/** There the `name` is a host's. */
const hosts = /^host (renew|remove) $/;

function argumentKind(path: string, name: string): Kind {
  if (hosts.test(`${path} `) && name === 'name') return 'host';
  if (name === 'name') return others.test(`${path} `) ? '' : 'vserver';
  return named[name] ?? '';
}
const optionKind = (long: string): Kind =>
  (
    {
      '--host': 'host',
      '--vserver': 'vserver',
      '--file': 'file',
      '--package': 'file',
      '--path': 'file',
    } as const
  )[long] ?? '';

/** The commands of a program with all below them, in their order. */
export function wordsOf(command: Command, path = ''): Words[] {
  const below = command.commands.filter((one) => one.name() !== 'help');
  const taking = command.options.filter((one) => one.required || one.optional);
  const mine: Words = {
    path,
    below: below.map((one) => one.name()),
    options: [...command.options.flatMap(({ long }) => (long ? [long] : [])), '--help'],
    values: Object.fromEntries(
      taking.flatMap(({ long, short }) =>
        [short, long].flatMap((one) => (one ? [[one, optionKind(long ?? '')]] : [])),
      ),
    ),
    arguments: command.registeredArguments.map((one) => argumentKind(path, one.name())),
    more: command.registeredArguments.at(-1)?.variadic === true,
  };
  return [mine, ...below.flatMap((one) => wordsOf(one, `${path} ${one.name()}`.trim()))];
}
