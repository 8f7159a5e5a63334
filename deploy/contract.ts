import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { asyncapi } from './contract/asyncapi.ts';
import { commandNames, commandPayload, replyPayload, standalone } from './contract/schemas.ts';
import { jsonMarkdown } from './contract/json-md.ts';
import { topicsMarkdown } from './contract/topics-md.ts';
import { toYaml } from './contract/yaml.ts';
import { channels } from '../shared/contract/channels.ts';
import { nameOf } from '../shared/contract/named.ts';

const root = new URL('..', import.meta.url).pathname;
const folder = 'docs/schemas';

const kebab = (name: string) => name.replaceAll(/(?<=[a-z])[A-Z]/g, (letter) => `-${letter}`).toLowerCase();

/** Every file of the published contract and its content, by path below the project. */
export function contractFiles(): Map<string, string> {
  const files = new Map<string, string>();
  const json = (key: string, schema: Parameters<typeof standalone>[0], title: string) =>
    files.set(`${folder}/${key}.json`, `${JSON.stringify(standalone(schema, key, title), null, 2)}\n`);
  for (const one of Object.values(channels)) {
    const name = nameOf(one.payload);
    if (name) json(kebab(name), one.payload, name);
  }
  for (const name of commandNames) {
    json(`commands/${name}`, commandPayload(name), `${name}: the command`);
    json(`replies/${name}`, replyPayload(name), `${name}: a reply`);
  }
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
  const head = '# Made by node deploy/contract.ts from shared/contract/; changes here are lost.\n';
  files.set('docs/asyncapi.yaml', head + toYaml(asyncapi(version)));
  files.set('docs/topics.md', topicsMarkdown());
  files.set('docs/json.md', jsonMarkdown());
  return files;
}

/** What differs from the files in a directory: out of date, missing, or not of the contract any more. */
export function staleFiles(files: Map<string, string>, directory = root): string[] {
  const read = (file: string) => {
    try {
      return readFileSync(join(directory, file), 'utf8');
    } catch {
      return undefined;
    }
  };
  const changed = [...files].filter(([file, text]) => read(file) !== text).map(([file]) => file);
  return [...changed, ...surplus(files, directory)];
}

function surplus(files: Map<string, string>, directory: string): string[] {
  let found: string[] = [];
  try {
    found = readdirSync(join(directory, folder), { recursive: true, encoding: 'utf8' });
  } catch {
    // there is no such folder yet
  }
  return found
    .map((file) => `${folder}/${file}`)
    .filter((file) => file.endsWith('.json') && !files.has(file));
}

if (import.meta.main) {
  const words = process.argv.slice(2);
  if (words.some((word) => word !== '--check')) {
    console.log(
      'node deploy/contract.ts          writes docs/asyncapi.yaml, docs/schemas/, docs/topics.md and docs/json.md',
    );
    console.log('node deploy/contract.ts --check  writes nothing; exit code 1 when they are not up to date');
    process.exitCode = words.includes('--help') ? 0 : 2;
  } else {
    const files = contractFiles();
    const stale = staleFiles(files);
    if (words.includes('--check')) {
      for (const file of stale) console.error(`${file} is not up to date: run node deploy/contract.ts`);
      process.exitCode = stale.length > 0 ? 1 : 0;
    } else {
      for (const file of stale) {
        const text = files.get(file);
        mkdirSync(dirname(join(root, file)), { recursive: true });
        if (text === undefined) rmSync(join(root, file));
        else writeFileSync(join(root, file), text);
      }
      console.log(`${files.size} files, ${stale.length} of them changed.`);
    }
  }
}
