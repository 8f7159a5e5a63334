import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { type Shown, sessionSvg } from './docs/session-svg.ts';

const usage = `node deploy/session.ts FILE.svg -- "COMMAND" "COMMAND" ...
Runs the commands one after the other, as they are, and writes what they printed and when as an animated SVG. For a lab:
  ./vs lab up --name film; eval "$(./vs lab env --name film)"
  node deploy/session.ts docs/session.svg -- "vs create web1 10.60.10.5 busybox --host host1 --start --yes" "vs move web1 host2" "vs scan"`;

const root = new URL('..', import.meta.url).pathname;
/** Somebody reads a line of input before the next one. */
const PAUSE_MS = 1200;

/** Runs one command of vs; its lines, each with the time after the start of the film (ms). */
function film(words: string[], from: number): Promise<{ lines: Shown[]; ms: number }> {
  const begun = performance.now();
  const lines: Shown[] = [];
  return new Promise((resolve, reject) => {
    const child = spawn(`${root}vs`, words, {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, NO_COLOR: '1' },
    });
    let rest = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      const parts = `${rest}${text}`.split('\n');
      rest = parts.pop() ?? '';
      for (const line of parts) lines.push({ at: from + performance.now() - begun, text: line });
    });
    child.on('error', reject).on('close', (code) => {
      if (code === 0) resolve({ lines, ms: performance.now() - begun });
      else reject(new Error(`vs ${words.join(' ')} ended with ${code}`));
    });
  });
}

if (import.meta.main) {
  const [file, mark, ...commands] = process.argv.slice(2);
  if (!file?.endsWith('.svg') || mark !== '--' || commands.length === 0) {
    console.error(usage);
    process.exitCode = 2;
  } else {
    const shown: Shown[] = [];
    let now = 0;
    for (const command of commands) {
      shown.push({ at: now, text: `$ ${command}`, typed: true });
      now += PAUSE_MS;
      const { lines, ms } = await film(command.replace(/^(\.\/)?vs /, '').split(' '), now);
      shown.push(...lines);
      now += ms + PAUSE_MS;
    }
    writeFileSync(file, sessionSvg(shown));
    console.log(`${file}: ${shown.length} lines, ${(now / 1000).toFixed(1)} s`);
  }
}
