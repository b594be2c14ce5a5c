import type { Runs } from '../api/types';

/** Masks as bytes, a pixel each: 1 inside, 0 outside. They are never changed, only made anew. */

export interface Bits {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array;
}

export function fromRuns({ width, height, runs }: Runs): Bits {
  const data = new Uint8Array(width * height);
  let at = 0;
  runs.forEach((length, k) => {
    if (k % 2 === 1) data.fill(1, at, at + length);
    at += length;
  });
  return { width, height, data };
}

export function toRuns({ width, height, data }: Bits): Runs {
  const runs: number[] = [];
  let inside = 0;
  let from = 0;
  for (let at = 0; at < data.length; at++) {
    if (data[at] === inside) continue;
    runs.push(at - from);
    inside = 1 - inside;
    from = at;
  }
  runs.push(data.length - from);
  return { width, height, runs };
}

/** The mask at another size, by the nearest pixel. */
export function resized(bits: Bits, width: number, height: number): Bits {
  if (bits.width === width && bits.height === height) return bits;
  const data = new Uint8Array(width * height);
  for (let y = 0; y < height; y++) {
    const row = Math.floor(((y + 0.5) * bits.height) / height) * bits.width;
    for (let x = 0; x < width; x++) {
      data[y * width + x] = bits.data[row + Math.floor(((x + 0.5) * bits.width) / width)] ?? 0;
    }
  }
  return { width, height, data };
}

/** What is in either; both have one size. */
export function joined(a: Bits, b: Bits): Bits {
  return { ...a, data: a.data.map((inside, k) => inside | (b.data[k] ?? 0)) };
}

/** The first with what is in the second set to inside, or to outside. */
export function painted(bits: Bits, where: Bits, inside: boolean): Bits {
  return { ...bits, data: bits.data.map((v, k) => (where.data[k] ? Number(inside) : v)) };
}

export function area({ data }: Bits): number {
  let sum = 0;
  for (const inside of data) sum += inside;
  return sum;
}

/** The box of what is inside, right and bottom exclusive; null where nothing is. */
export function boxOf({ width, height, data }: Bits): [number, number, number, number] | null {
  let [x0, y0, x1, y1] = [width, height, 0, 0];
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (!data[y * width + x]) continue;
      x0 = Math.min(x0, x);
      x1 = Math.max(x1, x + 1);
      y0 = Math.min(y0, y);
      y1 = y + 1;
    }
  }
  return x1 > x0 ? [x0, y0, x1, y1] : null;
}

/** Its connected parts, the largest first, without those below a share of the whole. */
export function parts(bits: Bits, least = 0.01): Bits[] {
  const { width, height, data } = bits;
  const numbers = new Int32Array(data.length);
  const sizes: number[] = [0];
  const stack: number[] = [];
  for (let start = 0; start < data.length; start++) {
    if (!data[start] || numbers[start]) continue;
    const number = sizes.length;
    let size = 0;
    numbers[start] = number;
    stack.push(start);
    for (let at = stack.pop(); at !== undefined; at = stack.pop()) {
      size += 1;
      const x = at % width;
      const reach = (to: number) => {
        if (!data[to] || numbers[to]) return;
        numbers[to] = number;
        stack.push(to);
      };
      if (x > 0) reach(at - 1);
      if (x < width - 1) reach(at + 1);
      if (at >= width) reach(at - width);
      if (at < data.length - width) reach(at + width);
    }
    sizes.push(size);
  }
  const total = sizes.reduce((sum, size) => sum + size, 0);
  return sizes
    .map((size, number) => ({ size, number }))
    .filter(({ size, number }) => number > 0 && size >= least * total)
    .sort((a, b) => b.size - a.size)
    .map(({ number }) => ({ width, height, data: Uint8Array.from(numbers, (n) => Number(n === number)) }));
}
