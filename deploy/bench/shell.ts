import { spawn } from 'node:child_process';
import { type BenchLab, vs } from './kit.ts';

/** A shell that stays open on a node of the lab: a command costs no start of a process of ours within the downtime. */
export interface Shell {
  /** Runs lines under `set -e` and answers their output; a failure rejects. */
  run(script: string, timeoutMs?: number): Promise<string>;
  close(): void;
}

/** Opens a shell by `vs lab exec NODE -- bash`; `before` is read by it first. */
export async function openShell(lab: BenchLab, node: string, before = ''): Promise<Shell> {
  const child = spawn(vs, ['lab', 'exec', node, '--name', lab.name, '--', 'bash', '-s'], {
    stdio: ['pipe', 'pipe', 'pipe'],
    signal: lab.signal,
  });
  const mark = `--${Math.random().toString(36).slice(2)}--`;
  let [text, errors] = ['', ''];
  let over = '';
  let look = () => {};
  const end = (why: string) => {
    over ||= why;
    look();
  };
  child.once('error', (error) => end(error.message));
  child.once('close', () => end('the shell ended'));
  child.stdin.on('error', (error) => end(error.message));
  child.stdout.on('data', (chunk: Buffer) => {
    text += chunk.toString();
    look();
  });
  child.stderr.on('data', (chunk: Buffer) => (errors = (errors + chunk.toString()).slice(-2000)));

  async function runIn(script: string, timeoutMs = 300_000): Promise<string> {
    [text, errors] = ['', ''];
    const code = new Promise<number>((resolve, reject) => {
      const timer = setTimeout(() => end(`no end within ${timeoutMs / 1000} s`), timeoutMs);
      look = () => {
        const found = new RegExp(`${mark} (\\d+)\n`).exec(text);
        if (!found && !over) return;
        clearTimeout(timer);
        if (found) resolve(Number(found[1]));
        else reject(new Error(`${node}: ${script.split('\n')[0]}: ${over} ${errors.trim()}`));
      };
      child.stdin.write(`(\nset -euo pipefail\n${script}\n) </dev/null\necho "${mark} $?"\n`);
      look();
    });
    const status = await code;
    if (status !== 0)
      throw new Error(`${node}: ${script.split('\n')[0]} ended with ${status}: ${errors.trim()}`);
    return text.slice(0, text.indexOf(mark));
  }

  child.stdin.write(`${before}\n`);
  const shell: Shell = { run: runIn, close: () => void child.stdin.end() };
  await shell.run('true', 30_000);
  return shell;
}
