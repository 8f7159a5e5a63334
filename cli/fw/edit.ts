import { isUtf8 } from 'node:buffer';
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { VsError } from '../../shared/errors.ts';

/** The editor of the person who asks, as words: EDITOR may hold some; no shell reads them. */
export function editorOf(environment: NodeJS.ProcessEnv): string[] {
  const given = [environment['VISUAL'], environment['EDITOR']].find((text) => text?.trim());
  return given ? given.trim().split(/\s+/) : ['editor'];
}

async function runEditor(words: string[], file: string): Promise<void> {
  const [program = '', ...rest] = words;
  const child = spawn(program, [...rest, file], { stdio: 'inherit' });
  const ended = await new Promise<string>((resolve, reject) => {
    child.once('error', (error: NodeJS.ErrnoException) =>
      reject(
        new VsError(
          'failed',
          `the editor ${program} cannot be run (${error.code ?? error.message}): set EDITOR to one that is there, such as EDITOR=nano.`,
        ),
      ),
    );
    child.once('exit', (code, signal) => {
      resolve(signal ? `was ended by ${signal}` : code === 0 ? '' : `ended with exit code ${code}`);
    });
  });
  if (ended) throw new VsError('failed', `the editor ${program} ${ended}: nothing was changed.`);
}

async function editAgain(faults: string): Promise<boolean> {
  process.stderr.write(`${faults}\n`);
  if (!process.stdin.isTTY) return false;
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  const answer = await lines.question('Edit it again? [Y/n] ');
  lines.close();
  return !/^n(o)?$/i.test(answer.trim());
}

/** What the editor left. Throws VsError 'failed' when that is nothing, or no text: a broken editor must not open a vserver to all. */
async function readEdited(name: string, file: string, before: string): Promise<string> {
  const say = (what: string) => new VsError('failed', `the editor left ${what}: nothing was changed.`);
  const bytes = await readFile(file).catch((error: NodeJS.ErrnoException) => {
    throw say(`no file (${error.code ?? error.message})`);
  });
  if (!isUtf8(bytes)) throw say('a file that is no UTF-8 text');
  const edited = bytes.toString('utf8');
  if (edited.trim() === '' && before.trim() !== '')
    throw new VsError(
      'failed',
      `the editor left an empty file: nothing was changed. To let everything pass: vs fw down ${name}`,
    );
  return edited;
}

/**
 * Has a person edit a text, and saves it; what has a fault is edited again, as often as the person likes. Undefined: it
 * was left as it is. What could not be saved stays in its file, which the error names.
 */
export async function editText<T>(
  name: string,
  text: string,
  save: (text: string) => Promise<T>,
  kind = 'firewall.conf',
): Promise<T | undefined> {
  const directory = await mkdtemp(join(tmpdir(), 'vs-edit-')); // 0700
  const file = join(directory, `${name}-${kind}`);
  let keep = false;
  try {
    await writeFile(file, text, { mode: 0o600, flag: 'wx' });
    for (;;) {
      try {
        await runEditor(editorOf(process.env), file);
      } catch (error) {
        keep ||= (await readFile(file, 'utf8').catch(() => text)) !== text;
        if (!keep) throw error;
        throw new VsError('failed', `${(error as Error).message} What you wrote is in ${file}.`, {
          cause: error,
        });
      }
      const edited = await readEdited(name, file, text);
      if (edited === text) return undefined;
      try {
        return await save(edited);
      } catch (error) {
        keep = true;
        const fault = error instanceof VsError && error.code === 'usage';
        if (fault && (await editAgain(error.message))) continue;
        const why = fault
          ? 'It has faults, so nothing was changed.'
          : (error as Error).message.replace(/[^.]$/, '$&.');
        throw new VsError(
          error instanceof VsError ? error.code : 'failed',
          `${why} What you wrote is in ${file}.`,
          {
            cause: error,
          },
        );
      }
    }
  } finally {
    if (!keep) await rm(directory, { recursive: true, force: true });
  }
}
