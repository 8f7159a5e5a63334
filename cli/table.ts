export { size } from '../shared/size.ts';

/** Rows of words under headings, in columns. */
export function table(headings: string[], rows: string[][]): string {
  const widths = headings.map((heading, column) =>
    Math.max(heading.length, ...rows.map((row) => row[column]?.length ?? 0)),
  );
  return [headings, ...rows]
    .map((row) =>
      row
        .map((word, column) => word.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** 512 MiB, 1.5 GiB: powers of 1024, as limits are given. */
export function binary(bytes: number): string {
  const unit = bytes >= 1024 ** 3 ? 'GiB' : 'MiB';
  const value = bytes / (unit === 'GiB' ? 1024 ** 3 : 1024 ** 2);
  return `${Number.isInteger(value) ? value : value.toFixed(1)} ${unit}`;
}

/** A time span in ms: 0.58 s, 12.3 s, 2 min 5 s. */
export function span(ms: number): string {
  const seconds = ms / 1000;
  if (seconds < 1) return `${seconds.toFixed(2)} s`;
  if (seconds < 100) return `${seconds.toFixed(1)} s`;
  return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
}

const two = (value: number) => String(value).padStart(2, '0');

/** A moment as local date and time. */
export function moment(ts: number): string {
  const date = new Date(ts);
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}
