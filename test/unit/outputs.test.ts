import { Command } from 'commander';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { verbs } from '../../cli/main.ts';
import { outputs } from '../../cli/outputs.ts';
import { shapeOf } from '../../cli/shape.ts';

test('what --json prints is told of every verb that knows it, and of no other', async () => {
  const known: string[] = [];
  const visit = (command: Command, words: string[]): void => {
    if (command.options.some(({ long }) => long === '--json')) known.push(words.join(' '));
    for (const one of command.commands) visit(one, [...words, one.name()]);
  };
  const program = new Command().enablePositionalOptions();
  for (const load of new Set(Object.values(verbs).map((one) => one.load))) (await load()).register(program);
  visit(program, []);
  const told = Object.keys(outputs).map((key) => key.replace(' --list', ''));
  // labs are no part of a pool: docs/lab.md
  expect(known.filter((verb) => !verb.startsWith('lab ')).toSorted()).toEqual(told.toSorted());
});

test('a schema in one line', () => {
  expect(
    shapeOf(
      z.object({ a: z.string().nullable(), b: z.record(z.string(), z.unknown()), c: z.int().optional() }),
    ),
  ).toBe('{ a: string | null, b: {[key]: any}, c?: integer }');
  expect(shapeOf(outputs['copies list']?.schema as never)).toBe('CopyInfo[]');
  expect(shapeOf(outputs['host token']?.schema as never)).toBe(
    '{ token: string, master: string, ends: Time }',
  );
  expect(shapeOf(outputs['trash empty']?.schema as never)).toBe('{ emptied: integer, freed: number }');
});
