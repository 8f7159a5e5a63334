import { crc32, deflateSync } from 'node:zlib';
import type { Drawing, Shape } from './draw.ts';
import { LETTER, dotsOf } from './font.ts';

/** Dots for one point of the drawing, so that thin lines and small letters can be read. */
const SCALE = 2;

function chunk(type: string, data: Uint8Array): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const [length, check] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32BE(data.length);
  check.writeUInt32BE(crc32(body));
  return Buffer.concat([length, body, check]);
}

/** A drawing as a PNG file: lines and letters without half tones, by an indexed palette. */
export function pngOf(drawing: Drawing): Buffer {
  const [width, height] = [drawing.width * SCALE, drawing.height * SCALE];
  const palette = ['#ffffff', ...new Set(drawing.shapes.map(({ colour }) => colour))];
  const rows = Buffer.alloc((width + 1) * height); // each row begins with its filter: 0, none
  const dot = (x: number, y: number, colour: number) => {
    if (x >= 0 && y >= 0 && x < width && y < height) rows[y * (width + 1) + 1 + x] = colour;
  };
  const square = (x: number, y: number, size: number, colour: number) => {
    for (let down = 0; down < size; down++)
      for (let right = 0; right < size; right++) dot(Math.round(x) + right, Math.round(y) + down, colour);
  };
  function line(shape: Shape & { kind: 'line' }, colour: number): void {
    const size = Math.max(1, Math.round(shape.width * SCALE * 0.7));
    for (const [at, [x, y]] of shape.points.entries()) {
      const [toX, toY] = shape.points[at + 1] ?? [x, y];
      const steps = Math.max(1, Math.ceil(Math.max(Math.abs(toX - x), Math.abs(toY - y)) * SCALE));
      for (let step = 0; step <= steps; step++) {
        const share = step / steps;
        square((x + (toX - x) * share) * SCALE, (y + (toY - y) * share) * SCALE, size, colour);
      }
    }
  }
  function text({ x, y, text: words, anchor }: Shape & { kind: 'text' }, colour: number): void {
    const wide = words.length * LETTER.width;
    const left = anchor === 'start' ? x : anchor === 'end' ? x - wide : x - wide / 2;
    for (const [at, letter] of words.split('').entries())
      for (const [column, row] of dotsOf(letter))
        square((left + at * LETTER.width + column) * SCALE, (y - LETTER.height + row) * SCALE, SCALE, colour);
  }
  for (const shape of drawing.shapes) {
    const colour = palette.indexOf(shape.colour);
    if (shape.kind === 'line') line(shape, colour);
    else text(shape, colour);
  }
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width, 0);
  head.writeUInt32BE(height, 4);
  head.set([8, 3, 0, 0, 0], 8); // 8 bits, indexed
  const colours = Buffer.from(palette.map((one) => one.slice(1)).join(''), 'hex');
  return Buffer.concat([
    Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]),
    chunk('IHDR', head),
    chunk('PLTE', colours),
    chunk('IDAT', deflateSync(rows)),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}
