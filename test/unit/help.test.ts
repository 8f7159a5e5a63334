import { afterEach, expect, test } from 'vitest';
import { main } from '../../cli/main.ts';

const write = process.stdout.write.bind(process.stdout);
afterEach(() => {
  process.stdout.write = write;
  process.exitCode = undefined;
});

/** What a command line prints, and its exit code; in this process, for there are over a hundred to ask. */
async function said(words: string[]): Promise<{ code: number; text: string }> {
  let text = '';
  process.stdout.write = (chunk: string | Uint8Array) => {
    text += chunk.toString();
    return true;
  };
  const code = await main(words);
  process.stdout.write = write;
  process.stdout.removeAllListeners('error');
  return { code, text };
}

test('each level of the command line answers --help with examples', async () => {
  const without: string[] = [];
  let asked = 0;
  const visit = async (words: string[]): Promise<void> => {
    const { code, text } = await said([...words, '--help']);
    asked++;
    const shown = `vs ${words.join(' ')}`;
    if (code !== 0) without.push(`${shown}: exit ${code}`);
    if (!text.includes(`Usage: ${shown.trim()}`)) without.push(`${shown}: another usage`);
    if (!/^Examples:\n {2}\S/m.test(text)) without.push(`${shown}: no Examples`);
    const commands = /^Commands:\n((?: .*\n)+)/m.exec(text)?.[1] ?? '';
    for (const [, word = ''] of commands.matchAll(/^ {2}([a-z][a-z-]*)/gm))
      if (word !== 'help') await visit([...words, word]);
  };
  await visit([]);
  expect(without).toEqual([]);
  expect(asked).toBeGreaterThan(150);
});
