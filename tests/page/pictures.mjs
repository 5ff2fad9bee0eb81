// Pictures made here: PNG files of one color with spots on them, the same for the same number.

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { crc32, deflateSync } from 'node:zlib';

const COLORS = { red: [200, 40, 40], green: [40, 180, 60], blue: [50, 60, 200] };

/** Numbers from 0 to 1 that look like chance (mulberry32). */
function chance(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let value = Math.imul(state ^ (state >>> 15), state | 1);
    value ^= value + Math.imul(value ^ (value >>> 7), value | 61);
    return ((value ^ (value >>> 14)) >>> 0) / 4294967296;
  };
}

function chunk(type, data) {
  const head = Buffer.alloc(8);
  head.writeUInt32BE(data.length, 0);
  head.write(type, 4, 'latin1');
  const sum = Buffer.alloc(4);
  sum.writeUInt32BE(crc32(Buffer.concat([head.subarray(4), data])) >>> 0, 0);
  return Buffer.concat([head, data, sum]);
}

/** A PNG file of RGB pixels, which `paint` gives by place. */
export function png(side, paint, level = 6) {
  const rows = Buffer.alloc(side * (side * 3 + 1));
  for (let y = 0; y < side; y += 1) {
    for (let x = 0; x < side; x += 1) rows.set(paint(x, y), y * (side * 3 + 1) + 1 + x * 3);
  }
  const header = Buffer.alloc(13);
  header.writeUInt32BE(side, 0);
  header.writeUInt32BE(side, 4);
  header.set([8, 2, 0, 0, 0], 8);
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  return Buffer.concat([signature, chunk('IHDR', header), chunk('IDAT', deflateSync(rows, { level })), chunk('IEND', Buffer.alloc(0))]);
}

/** A picture of a color. Another compression makes another file of the same picture. */
export function colored(color, seed, level) {
  const next = chance(seed + 1000 * Object.keys(COLORS).indexOf(color));
  const shade = () => COLORS[color].map((value) => Math.max(0, Math.min(255, Math.round(value + 80 * next() - 40))));
  const [ground, spots] = [shade(), Array.from({ length: 5 }, () => ({ x: next() * 64, y: next() * 64, r: 3 + next() * 9, of: shade() }))];
  return png(64, (x, y) => spots.find((spot) => (x - spot.x) ** 2 + (y - spot.y) ** 2 < spot.r ** 2)?.of ?? ground, level);
}

/** A picture of stripes of several colors: what a model that tells colors apart cannot be sure of. */
export function striped(colors, width = 4) {
  return png(64, (x) => COLORS[colors[Math.floor(x / width) % colors.length]]);
}

/** A picture that no compression makes smaller: three bytes for each pixel. */
export function noise(side, seed) {
  const next = chance(seed);
  return png(side, () => [next() * 255, next() * 255, next() * 255], 0);
}

/** A folder with a folder of pictures for each color. */
export function colorFolder(folder, count) {
  for (const color of Object.keys(COLORS)) {
    mkdirSync(join(folder, color), { recursive: true });
    for (let seed = 0; seed < count; seed += 1) writeFileSync(join(folder, color, `${color}-${seed}.png`), colored(color, seed));
  }
  return folder;
}
