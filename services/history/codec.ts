/** A figure within one span of time: of so many samples. */
export interface Stat {
  n: number;
  min: number;
  avg: number;
  max: number;
}
/** By the number of the key; a hole: the figure was not there. */
export type Row = (Stat | undefined)[];

/** Two bits a key: most figures of most vservers are zero or did not change, and take no room for three numbers. */
const ABSENT = 0;
const ZERO = 1;
const ONE = 2;
const THREE = 3;
const near = Math.fround;

function kindOf(stat: Stat | undefined): number {
  if (!stat) return ABSENT;
  if (near(stat.min) !== near(stat.max)) return THREE;
  return near(stat.avg) === 0 ? ZERO : ONE;
}

/** A row as it lies in the file: number of keys, two bits for each, then 32-bit floats (7 digits) as the bits say. */
export function encode(row: Row): Uint8Array {
  const kinds = Array.from({ length: row.length }, (_, at) => kindOf(row[at]));
  const floats = kinds.reduce((sum, kind) => sum + (kind === THREE ? 3 : kind === ONE ? 1 : 0), 0);
  const head = 1 + Math.ceil(kinds.length / 4);
  const bytes = new Uint8Array(head + floats * 4);
  const view = new DataView(bytes.buffer);
  bytes[0] = kinds.length;
  let at = head;
  const put = (value: number) => {
    view.setFloat32(at, value, true);
    at += 4;
  };
  for (const [index, kind] of kinds.entries()) {
    const byte = 1 + (index >> 2);
    bytes[byte] = (bytes[byte] ?? 0) | (kind << ((index & 3) * 2));
    const stat = row[index];
    if (!stat) continue;
    if (kind === THREE) put(stat.min);
    if (kind === THREE || kind === ONE) put(stat.avg);
    if (kind === THREE) put(stat.max);
  }
  return bytes;
}

/** The reverse; `n`: of how many samples it is. What is no row throws as SQLite does for a damaged file (errcode 11). */
export function decode(bytes: Uint8Array, n: number): Row {
  try {
    return parse(bytes, n);
  } catch (error) {
    throw Object.assign(new Error('a row is damaged', { cause: error }), { errcode: 11 });
  }
}
function parse(bytes: Uint8Array, n: number): Row {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = view.getUint8(0);
  let at = 1 + Math.ceil(length / 4);
  const take = () => {
    at += 4;
    return view.getFloat32(at - 4, true);
  };
  const row: Row = Array.from({ length });
  for (let index = 0; index < length; index++) {
    const kind = (view.getUint8(1 + (index >> 2)) >> ((index & 3) * 2)) & 3;
    if (kind === ZERO) row[index] = { n, min: 0, avg: 0, max: 0 };
    else if (kind === ONE) {
      const value = take();
      row[index] = { n, min: value, avg: value, max: value };
    } else if (kind === THREE) row[index] = { n, min: take(), avg: take(), max: take() };
  }
  return row;
}

/** Two rows as one. */
export function merge(a: Row, b: Row): Row {
  return Array.from({ length: Math.max(a.length, b.length) }, (_, at): Stat | undefined => {
    const [one, other] = [a[at], b[at]];
    if (!one || !other) return one ?? other;
    const n = one.n + other.n;
    return {
      n,
      min: Math.min(one.min, other.min),
      avg: (one.avg * one.n + other.avg * other.n) / n,
      max: Math.max(one.max, other.max),
    };
  });
}

/** Of how many samples a row is. */
export const samplesOf = (row: Row): number => row.reduce((most, stat) => Math.max(most, stat?.n ?? 0), 0);
