import { keptFigures } from '../../shared/contract/figures.ts';
import { draw } from '../../shared/chart/draw.ts';
import { pngOf } from '../../shared/chart/png.ts';
import type { Context } from '../../shared/service.ts';
import { type Facts, noFacts } from './parts.ts';
import type { Message } from './state.ts';

const PATIENCE_MS = 3000;
const CHART_MS = 6 * 3_600_000;
const STEP_SECONDS = 120;
/** A mail is 600 points wide, and shows it as it is. */
const CHART_WIDTH = 560;
/** So many subjects are told of in one message. */
const SUBJECTS = 4;
const charted = ['cpu_pct', 'load_1', 'mem_bytes', 'disk_bytes'];

/** What can be asked about the subjects of a message; a history that does not answer is left out, for a mail must go. */
export async function factsFor({ bus, log }: Pick<Context, 'bus' | 'log'>, message: Message): Promise<Facts> {
  const facts = noFacts();
  const names: string[] = [];
  for (const { incident, kind } of message.notices) {
    if (kind === 'end' || kind === 'passed') continue;
    for (const name of [incident.subject, incident.host])
      if (name !== 'master' && !names.includes(name) && /^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$/.test(name))
        names.push(name);
  }
  try {
    for (const subject of names.slice(0, SUBJECTS)) {
      const { subjects } = await bus.request(
        'master',
        'history.newest',
        { subject },
        { timeoutMs: PATIENCE_MS },
      );
      facts.figures.push(...subjects.slice(0, 1));
    }
    const [first] = facts.figures;
    if (!first) return facts;
    const now = Date.now();
    const found = await bus.request(
      'master',
      'history.query',
      { subject: first.name, kind: first.kind, since: now - CHART_MS, step: STEP_SECONDS, keys: charted },
      { timeoutMs: PATIENCE_MS },
    );
    const panels = keptFigures.flatMap(({ key, title }) => {
      const figure = charted.includes(key) ? found.figures[key] : undefined;
      return figure ? [{ title, key, lines: [{ name: first.name, points: figure.points }] }] : [];
    });
    if (panels.length === 0) return facts;
    const title = `${first.name}, the last 6 hours`;
    facts.charts.push({
      cid: 'chart',
      title,
      png: pngOf(draw(title, panels, now - CHART_MS, now, CHART_WIDTH)),
    });
  } catch (error) {
    log.debug({ error: String(error) }, 'no figures for a mail');
  }
  return facts;
}
