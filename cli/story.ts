import type { SagaState } from '../shared/contract/saga.ts';
import { closing } from './follow.ts';
import { moment, span } from './table.ts';

interface Line {
  ts: number;
  kind: string;
  step?: string;
  [key: string]: unknown;
}
interface Event {
  ts: number;
  label: string;
  ms?: number | undefined;
  text: string;
}
const WIDTH = 80;

const word = (value: unknown): string => (typeof value === 'string' ? value : '');
const clip = (text: string, room: number) => (text.length <= room ? text : `${text.slice(0, room - 3)}...`);
const oneLine = (text: string): string => text.replace(/\s*\n\s*/g, ' ');

/** How a line that says that something begins goes on: the line that says how it ended, or that it began again. */
function outcome(journal: Line[], at: number, ends: string[]): Line | undefined {
  const line = journal[at];
  return journal.find(
    (other, index) => index > at && other.step === line?.step && [...ends, line?.kind].includes(other.kind),
  );
}

function eventOf(journal: Line[], at: number, state: SagaState): Event | undefined {
  const line = journal[at];
  if (!line) return undefined;
  const { ts, kind, step = '' } = line;
  const row = state.steps.find((one) => one.step === step);
  const end = outcome(journal, at, kind === 'started' ? ['succeeded', 'failed'] : ['undone']);
  const ms = end && end.kind !== kind ? end.ts - ts : undefined;
  /** What there is to say of what has no end of its own. */
  const open = end ? 'broken off' : state.result === 'running' ? '...' : 'failed';
  const events: Record<string, () => Omit<Event, 'ts'> | undefined> = {
    waits: () => ({ label: '', text: word(line['message']) }),
    resumed: () => ({
      label: '',
      text: word(line['message']).startsWith('by ')
        ? `tried again ${word(line['message'])}`
        : word(line['message']),
    }),
    started() {
      // most steps that end well have something to say, but not all
      const said = end?.kind === 'succeeded' ? row?.message : end?.kind === 'failed' ? 'failed' : open;
      const where = row?.host && row.host !== state.vserver ? row.host : undefined;
      return { label: step, ms, text: [where, said].filter(Boolean).join(': ') };
    },
    retry: () => ({ label: '', text: `tried again: ${word(line['message'])}` }),
    failed: () => ({ label: '', text: `${step} failed on ${word(line['host'])}: ${word(line['message'])}` }),
    abort: () => ({ label: '', text: word(line['message']) }),
    pnr: () => ({ label: '', text: 'the point of no return' }),
    undoing: () => ({ label: `undo ${step}`, ms, text: ms === undefined ? open : '' }),
    end: () => ({ label: word(line['result']), text: '' }),
  };
  const event = events[kind]?.();
  return event && { ts, ...event };
}

/** What happened in a saga and when, a line each, at most 80 columns; the closing sentence comes whole. */
export function story(state: SagaState, journal: Line[]): string[] {
  const steps = new Set(journal.map((line) => line.step));
  const parts = state.steps.flatMap((row): Event[] =>
    row.started === undefined || steps.has(row.step)
      ? []
      : [
          {
            ts: row.started,
            label: `  ${row.step}`,
            ms: row.ms,
            text: `${row.state === 'failed' ? 'failed: ' : ''}${row.message ?? ''}`,
          },
        ],
  );
  const events = [...journal.flatMap((_line, at) => eventOf(journal, at, state) ?? []), ...parts].sort(
    (a, b) => a.ts - b.ts,
  );
  const width = Math.min(24, Math.max(10, ...events.map(({ label }) => label.length)));
  let day = moment(state.started).slice(0, 10);
  const lines = [
    state.title,
    `Saga ${state.id}, begun ${moment(state.started)} by ${state.issuer ?? 'unknown'}${state.parent ? `, for saga ${state.parent}` : ''}`,
  ];
  for (const { ts, label, ms, text } of events) {
    const [date = '', time = ''] = moment(ts).split(' ');
    if (date !== day) lines.push((day = date));
    const took = ms === undefined ? '' : span(ms);
    const step = `${clip(label, width).padEnd(width)} ${took.padStart(10)}`;
    const head = `  ${time}  ${label === '' ? '  ' : `${step}  `}`;
    lines.push(`${head}${clip(oneLine(text), WIDTH - head.length)}`.trimEnd());
  }
  if (state.result === 'running')
    lines.push(
      `${state.waits ? `It ${state.waits}` : 'Still running'}; see it with: vs saga follow ${state.id}`,
    );
  else lines.push(closing(state));
  return lines;
}
