import { expect, test } from 'vitest';

import type { Camera } from '../src/viewer/manifest';
import { contain, photoProjection } from '../src/viewer/projection';

const camera: Camera = { fx: 500, fy: 510, cx: 310, cy: 190, width: 600, height: 400 };

function pixel(matrix: number[], [x, y, z]: [number, number, number], width: number, height: number) {
  const row = (k: number) =>
    (matrix[k] ?? 0) * x + (matrix[4 + k] ?? 0) * y + (matrix[8 + k] ?? 0) * z + (matrix[12 + k] ?? 0);
  const w = row(3);
  return { u: ((row(0) / w + 1) / 2) * width, v: ((1 - row(1) / w) / 2) * height, depth: row(2) / w };
}

test.each([
  [600, 400],
  [1200, 500],
  [360, 700],
])('a point lands on its pixel of the photo, shown in %i × %i', (width, height) => {
  const point: [number, number, number] = [0.3, -0.2, -2];
  const { matrix } = photoProjection(camera, { width, height }, 0.1, 10);
  const u = camera.cx + (camera.fx * point[0]) / -point[2];
  const v = camera.cy - (camera.fy * point[1]) / -point[2];
  const { scale, x, y } = contain(camera, { width, height });
  const shown = pixel(matrix, point, width, height);
  expect(shown.u).toBeCloseTo(scale * u + x, 6);
  expect(shown.v).toBeCloseTo(scale * v + y, 6);
});

test('near and far planes are the ends of the depth range', () => {
  const { matrix } = photoProjection(camera, { width: 600, height: 400 }, 0.5, 20);
  expect(pixel(matrix, [0, 0, -0.5], 600, 400).depth).toBeCloseTo(-1, 9);
  expect(pixel(matrix, [0, 0, -20], 600, 400).depth).toBeCloseTo(1, 9);
});

test('the whole photo is seen, centred, in viewports of any shape', () => {
  expect(contain(camera, { width: 1200, height: 400 })).toEqual({ scale: 1, x: 300, y: 0 });
  expect(contain(camera, { width: 300, height: 400 })).toEqual({ scale: 0.5, x: 0, y: 100 });
});
