import { MeshBasicMaterial, MeshStandardMaterial, Texture } from 'three';
import { expect, test } from 'vitest';

import { DetailBudget } from '../src/viewer/detail';
import { reflects } from '../src/viewer/environment';
import type { Camera } from '../src/viewer/manifest';
import { sampledPly } from '../src/viewer/ply';
import { differs, fitDistance, opening, photoProjection } from '../src/viewer/projection';

const NAMES = ['x', 'y', 'z', 'scale_0', 'scale_1', 'scale_2'];

function ply(count: number, format = 'binary_little_endian'): ArrayBuffer {
  const header = [
    'ply', `format ${format} 1.0`, `element vertex ${count}`,
    ...NAMES.map((name) => `property float ${name}`), 'end_header', '',
  ].join('\n');
  const head = new TextEncoder().encode(header);
  const file = new Uint8Array(head.length + 4 * NAMES.length * count);
  file.set(head);
  const view = new DataView(file.buffer, head.length);
  for (let k = 0; k < count; k++) {
    view.setFloat32(4 * NAMES.length * k, k, true);
    for (const axis of [3, 4, 5]) view.setFloat32(4 * (NAMES.length * k + axis), -2, true);
  }
  return file.buffer;
}

test('a sample is a file of its own: every k-th splat, wide enough to close the gaps', () => {
  const sample = sampledPly(ply(1000), 300);
  if (!sample) throw new Error('no sample');
  const text = new TextDecoder('latin1').decode(sample);
  expect(text).toContain('element vertex 250\n');
  const start = text.indexOf('end_header\n') + 'end_header\n'.length;
  expect(sample.byteLength).toBe(start + 250 * 4 * NAMES.length);
  const view = new DataView(sample, start);
  expect(view.getFloat32(4 * NAMES.length * 7, true)).toBe(28);
  expect(Math.exp(view.getFloat32(4 * 3, true) + 2)).toBeCloseTo(2, 5); // four times the area
});

test.each([
  ['small', ply(300)],
  ['of text', ply(1000, 'ascii')],
  ['no PLY', new TextEncoder().encode('nothing of the kind').buffer],
  ['cut off in its header', ply(1000).slice(0, 40)],
])('a file that is %s has no sample', (_, file) => {
  expect(sampledPly(file, 300)).toBeNull();
});

test('a file that was cut off gives a sample of what is there', () => {
  const file = ply(1000);
  const sample = sampledPly(file.slice(0, file.byteLength / 2), 300);
  expect(new TextDecoder('latin1').decode(sample ?? new ArrayBuffer())).toMatch(/vertex 12\d\n/);
});

test('slow machines draw fewer splats, fast ones more, between bounds', () => {
  const slow = new DetailBudget(false);
  const fast = new DetailBudget(false);
  const start = slow.inMotion;
  for (let k = 0; k < 3; k++) slow.observe(120);
  expect(slow.inMotion).toBe(start / 2);
  for (let k = 0; k < 300; k++) {
    slow.observe(5000);
    fast.observe(8);
  }
  expect(slow.inMotion).toBe(20_000);
  expect(fast.inMotion).toBe(1_500_000);
  expect(fast.atRest).toBe(1_500_000);
  expect(new DetailBudget(true).inMotion).toBeLessThan(start);
});

test('one hiccup does not take more than half of the details', () => {
  const budget = new DetailBudget(false);
  const before = budget.inMotion;
  for (const ms of [16, 4000, 16]) budget.observe(ms);
  expect(budget.inMotion).toBe(before / 2);
});

test('from the fitting distance all points are in sight, and one is at the edge', () => {
  const camera: Camera = { fx: 500, fy: 510, cx: 310, cy: 190, width: 600, height: 400 };
  const viewport = { width: 900, height: 500 };
  const covered = 60;
  const { matrix } = photoProjection(camera, viewport, 0.1, 10, covered);
  const points = [[0.5, 0.2, 0.1], [-0.4, -0.3, 0.5], [0, 0.4, -0.5]] as const;
  const distance = fitDistance(points, opening(matrix, viewport, covered));
  const edges = points.map(([x, y, z]) => {
    const depth = distance - z;
    const u = ((matrix[0] ?? 0) * x) / depth - (matrix[8] ?? 0);
    const v = ((matrix[5] ?? 0) * y) / depth - (matrix[9] ?? 0);
    const pixel = { x: ((u + 1) / 2) * 900, y: ((1 - v) / 2) * 500 };
    return Math.min(pixel.x, 900 - pixel.x, pixel.y, 500 - covered - pixel.y);
  });
  expect(Math.min(...edges)).toBeCloseTo(0, 6);
});

test('metal and what has a map of roughness reflect the room; plain surfaces look as they did', () => {
  expect(reflects(new MeshStandardMaterial({ metalness: 0, roughness: 0.9 }))).toBe(false);
  expect(reflects(new MeshBasicMaterial())).toBe(false);
  expect(reflects(new MeshStandardMaterial({ metalness: 1 }))).toBe(true);
  const map = new Texture();
  expect(reflects(new MeshStandardMaterial({ metalness: 0, roughnessMap: map }))).toBe(true);
});

test('rounding is no motion of the camera', () => {
  const place = [0.1, 0, 0, 0, 7, 1];
  expect(differs(place, place.map((v) => v * (1 + 2 ** -52)))).toBe(false);
  expect(differs(place, [0.1, 0, 0, 0, 7.000001, 1])).toBe(true);
  expect(differs(place, [0.1, 1e-6, 0, 0, 7, 1])).toBe(true);
});
