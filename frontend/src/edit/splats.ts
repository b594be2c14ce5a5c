/** An object's splats as numbers, and which of them a box, a sphere or a habit of floaters names. */

import { Notice } from '../ui/notice';

export interface Splats {
  count: number;
  /** x, y, z of each, in the object's frame. */
  means: Float32Array;
  opacities: Float32Array;
  /** Red, green, blue and opacity of each, as bytes. */
  rgba: Uint8Array;
}

const SH_C0 = 0.28209479177387814;
const NEEDED = ['x', 'y', 'z', 'f_dc_0', 'f_dc_1', 'f_dc_2', 'opacity'];

/** Read `objects/NN/splats.ply`, which holds little-endian floats alone. Throws for other files. */
export function readSplats(file: ArrayBuffer): Splats {
  const text = new TextDecoder('latin1').decode(file.slice(0, 4096));
  const end = text.indexOf('end_header\n');
  const names = [...text.slice(0, Math.max(end, 0)).matchAll(/^property float (\w+)$/gm)].map((m) => m[1]);
  const count = Number(/^element vertex (\d+)$/m.exec(text)?.[1]);
  const columns = NEEDED.map((name) => names.indexOf(name));
  const start = end + 'end_header\n'.length;
  const width = names.length;
  if (end < 0 || columns.includes(-1) || file.byteLength < start + 4 * width * count) {
    throw new Notice('The splats of this object are in no file that can be edited.');
  }
  const [x, y, z, r, g, b, o] = columns as [number, number, number, number, number, number, number];
  const values = new Float32Array(file.slice(start, start + 4 * width * count));
  const splats: Splats = {
    count, means: new Float32Array(3 * count), opacities: new Float32Array(count),
    rgba: new Uint8Array(4 * count),
  };
  const at = (row: number, column: number) => values[row + column] ?? 0;
  const byte = (value: number) => Math.max(0, Math.min(255, Math.round(255 * value)));
  for (let k = 0; k < count; k++) {
    const row = k * width;
    const opacity = 1 / (1 + Math.exp(-at(row, o)));
    splats.means.set([at(row, x), at(row, y), at(row, z)], 3 * k);
    splats.opacities[k] = opacity;
    const colours = [r, g, b].map((column) => byte(0.5 + SH_C0 * at(row, column)));
    splats.rgba.set([...colours, byte(opacity)], 4 * k);
  }
  return splats;
}

export type Point = readonly [number, number, number];

/** A sphere or a box, its sides along the axes of the object. */
export interface Volume {
  kind: 'sphere' | 'box';
  centre: Point;
  /** From the centre to each side; a sphere is as wide as it says along each axis. */
  half: Point;
}

export function inside(splats: Splats, { kind, centre, half }: Volume): Uint8Array {
  const mask = new Uint8Array(splats.count);
  for (let k = 0; k < splats.count; k++) {
    const [x, y, z] = [0, 1, 2].map((axis) =>
      ((splats.means[3 * k + axis] ?? 0) - (centre[axis] ?? 0)) / Math.max(half[axis] ?? 0, 1e-9),
    ) as [number, number, number];
    const out = kind === 'box' ? Math.max(Math.abs(x), Math.abs(y), Math.abs(z)) : Math.hypot(x, y, z);
    mask[k] = out <= 1 ? 1 : 0;
  }
  return mask;
}

export function fainterThan(splats: Splats, opacity: number): Uint8Array {
  return Uint8Array.from(splats.opacities, (value) => (value < opacity ? 1 : 0));
}

const CELLS = 40; // along the longest side: a gap of a fortieth of an object parts a floater from it
const SPLATS_A_CELL = 12; // of the square of a side: few splats stand farther apart
const OUTLIERS = 0.02; // share of splats at each end that do not count for the size of the object
const OWN = 0.03; // a heap with more than this share of the splats is a part of the object

/**
 * Splats that hang beside the object: in heaps of cells that touch no other, each with few splats.
 * `without` names splats that are gone already.
 */
export function floaters(splats: Splats, without: Uint8Array): Uint8Array {
  const mask = new Uint8Array(splats.count);
  const there = [...without.keys()].filter((k) => !without[k]);
  if (there.length === 0) return mask;
  const low: number[] = [], high: number[] = [];
  for (const axis of [0, 1, 2]) {
    const sorted = Float32Array.from(there, (k) => splats.means[3 * k + axis] ?? 0).sort();
    const end = sorted.length - 1;
    low.push(sorted[Math.floor(OUTLIERS * end)] ?? 0);
    high.push(sorted[Math.ceil((1 - OUTLIERS) * end)] ?? 0);
  }
  const cellsAlong = Math.min(CELLS, Math.sqrt(there.length / SPLATS_A_CELL));
  const size = Math.max(...high.map((h, axis) => h - (low[axis] ?? 0)), 1e-9) / cellsAlong;
  const cells = new Map<string, number[]>();
  const cellOf = (k: number) =>
    [0, 1, 2].map((axis) => Math.floor(((splats.means[3 * k + axis] ?? 0) - (low[axis] ?? 0)) / size));
  for (const k of there) {
    const key = cellOf(k).join();
    const cell = cells.get(key);
    if (cell) cell.push(k);
    else cells.set(key, [k]);
  }
  const waiting = new Set(cells.keys());
  for (const first of cells.keys()) {
    if (!waiting.delete(first)) continue;
    const heap = [first];
    for (const key of heap) { // grows while it is walked
      const [x, y, z] = key.split(',').map(Number) as [number, number, number];
      for (let near = 0; near < 27; near++) {
        const dx = (near % 3) - 1, dy = (Math.floor(near / 3) % 3) - 1, dz = Math.floor(near / 9) - 1;
        const neighbour = `${x + dx},${y + dy},${z + dz}`;
        if (waiting.delete(neighbour)) heap.push(neighbour);
      }
    }
    const members = heap.flatMap((key) => cells.get(key) ?? []);
    if (members.length <= OWN * there.length) for (const k of members) mask[k] = 1;
  }
  return mask;
}
