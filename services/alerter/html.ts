import { BODY, type Facts, type Told, subjectOf, tablesOf, titlesInOrder, toldOf } from './parts.ts';
import type { Message, Notice } from './state.ts';
import { escapeHtml } from './text.ts';

// Mail readers know little: styles in the elements, nothing from elsewhere, 600 points wide. Those that know the dark take the classes.
const RED = '#c5221f';
const AMBER = '#b45309';
function colourOf({ kind }: Notice, { isCritical }: Told): string {
  if (kind === 'end') return '#137333';
  if (kind === 'passed') return '#5f6368';
  return isCritical ? RED : AMBER;
}
const style = `:root{color-scheme:light dark}
@media (prefers-color-scheme:dark){
.page{background:#17191c!important;color:#e8eaed!important}
.card{background:#22252a!important;color:#e8eaed!important}
.box{background:#2f343a!important;color:#e8eaed!important}
.soft{color:#aab0b6!important}
.code{background:#111316!important;color:#d7dadd!important}
.line{border-color:#3a3f45!important}
}`;
const FONT = 'font-family:Arial,Helvetica,sans-serif;font-size:14px;line-height:1.45';

function cardOf(one: Notice, facts: Facts): string {
  const told = toldOf(facts, one);
  const colour = colourOf(one, told);
  const small = told.facts.map(
    (line) => `<div class="soft" style="color:#5f6368;font-size:12px">${escapeHtml(line)}</div>`,
  );
  const todo = told.todo
    ? `<div class="box" style="background:#f1f3f4;padding:8px 10px;margin-top:8px;border-radius:4px"><b>To do:</b> ${escapeHtml(told.todo)}</div>`
    : '';
  const pre = told.detail
    ? `<pre class="code" style="background:#f8f9fa;padding:8px 10px;margin:8px 0 0;border-radius:4px;font-family:Menlo,Consolas,'DejaVu Sans Mono',monospace;font-size:11px;line-height:1.4;white-space:pre-wrap">${escapeHtml(told.detail)}</pre>`
    : '';
  return (
    `<div class="card" style="background:#ffffff;border-left:4px solid ${colour};border-radius:4px;padding:10px 14px;margin:0 0 12px">` +
    `<div><span style="background:${colour};color:#ffffff;font-size:11px;font-weight:bold;padding:2px 7px;border-radius:3px">${told.word}${told.isCritical ? ' critical' : ''}</span> <b>${escapeHtml(told.where)}</b></div>` +
    `<div style="font-size:16px;margin:6px 0 4px">${escapeHtml(told.sentence)}</div>` +
    `${small.join('')}${todo}${pre}</div>`
  );
}

/** All figures in one table, a column for each subject. */
function tableOf(facts: Facts): string {
  const tables = tablesOf(facts);
  const columns = tables.map(({ rows }) => new Map(rows));
  const titles = titlesInOrder.filter((title) => columns.some((rows) => rows.has(title)));
  if (titles.length === 0) return '';
  const cell = 'class="line" style="padding:3px 14px 3px 0;border-bottom:1px solid #e3e6e8;text-align:left"';
  const head = tables.map(({ kind, name }) => `<th ${cell}>${escapeHtml(`${kind} ${name}`)}</th>`);
  const rows = titles.map(
    (title) =>
      `<tr><td ${cell}>${escapeHtml(title)}</td>${columns.map((column) => `<td ${cell}>${escapeHtml(column.get(title) ?? '')}</td>`).join('')}</tr>`,
  );
  return `<div class="card" style="background:#ffffff;border-radius:4px;padding:10px 14px;margin:0 0 12px"><table style="border-collapse:collapse;width:100%;${FONT};font-size:13px"><tr><th ${cell}>newest figures</th>${head.join('')}</tr>${rows.join('')}</table></div>`;
}

/** A message as HTML of bounded size, in which all that others said is text. */
export function htmlOf(message: Message, facts: Facts, notes: string[]): string {
  let room = BODY;
  const fit = (part: string): string => {
    room -= part.length;
    return room >= 0 ? part : '';
  };
  const cards = message.notices.map((one) => fit(cardOf(one, facts)));
  const table = fit(tableOf(facts));
  const charts = facts.charts.map(
    ({ cid, title }) =>
      `<div style="background:#ffffff;border-radius:4px;padding:8px;margin:0 0 12px"><img src="cid:${escapeHtml(cid)}" alt="${escapeHtml(title)}" style="display:block;max-width:100%" /></div>`,
  );
  const rest = room < 0 ? '<p>More did not find room here: vs alerts shows all.</p>' : '';
  const said = notes.map((note) => `<p><b>${escapeHtml(note)}</b></p>`).join('');
  return `<!DOCTYPE html>
<html><head><meta charset="utf-8" /><meta name="viewport" content="width=device-width" /><meta name="color-scheme" content="light dark" /><title>${escapeHtml(subjectOf(message))}</title><style>${style}</style></head>
<body class="page" style="margin:0;padding:0;background:#eef0f2;color:#202124;${FONT}"><div class="page" style="max-width:600px;margin:0 auto;padding:12px;${FONT}">
${cards.join('\n')}
${rest}${said}${table}${charts.join('\n')}
<div class="soft" style="color:#5f6368;font-size:12px">vs alerts shows what fires; vs alert ack NAME CHECK ends the reminders; vs alert silence NAME CHECK --for 2h --why ... keeps quiet.</div>
</div></body></html>
`;
}
