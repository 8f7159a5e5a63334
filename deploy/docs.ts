import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { verbs } from '../cli/main.ts';
import { filesMarkdown } from './docs/files-md.ts';
import { sagasMarkdown } from './docs/sagas-md.ts';
import { verbsMarkdown } from './docs/verbs-md.ts';
import { wholeProgram } from './package/pages.ts';

const root = new URL('..', import.meta.url).pathname;

/** The documentation that is made from the programs, by path below the project. */
export async function docsFiles(): Promise<Map<string, string>> {
  const version =
    readdirSync(join(root, 'test/fixtures/versions'))
      .filter((one) => /^\d/.test(one))
      .at(-1) ?? '';
  return new Map([
    ['docs/verbs.md', verbsMarkdown(await wholeProgram(), verbs)],
    ['docs/files.md', filesMarkdown(root)],
    ['docs/saga-diagrams.md', sagasMarkdown(join(root, `test/fixtures/versions/${version}/journals`))],
  ]);
}

/** Those of them that are missing or out of date in a directory. */
export function staleDocs(files: Map<string, string>, directory = root): string[] {
  const read = (file: string) => {
    try {
      return readFileSync(join(directory, file), 'utf8');
    } catch {
      return undefined;
    }
  };
  return [...files].filter(([file, text]) => read(file) !== text).map(([file]) => file);
}

if (import.meta.main) {
  const files = await docsFiles();
  const stale = staleDocs(files);
  if (process.argv[2] === '--check') {
    for (const file of stale) console.error(`${file} is not up to date: run node deploy/docs.ts`);
    process.exitCode = stale.length > 0 ? 1 : 0;
  } else if (process.argv.length > 2) {
    console.error(
      'node deploy/docs.ts [--check]: writes what is made from the programs below docs/, or only looks at it',
    );
    process.exitCode = 2;
  } else {
    for (const file of stale) writeFileSync(join(root, file), files.get(file) ?? '');
    console.log(`${files.size} files, ${stale.length} of them changed.`);
  }
}
