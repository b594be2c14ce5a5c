import { describe, expect, test } from 'vitest';

import { format, parse } from '../src/app/route';
import { pointOf } from '../src/canvas/editing';
import { boxOfDrag, nudge } from '../src/canvas/boxes';
import { paint } from '../src/canvas/mask';
import { split } from '../src/ui/chips';
import { ago, bytes, duration, percent, plural } from '../src/ui/format';
import { whyNoPhoto } from '../src/views/compose';
import { sides } from '../src/views/options';
import { withParts } from '../src/viewer/downloads';
import { embeddedSource } from '../src/viewer/source';
import type { Manifest } from '../src/viewer/manifest';

describe('boxes', () => {
  test('a drag in any direction gives the same box', () => {
    expect(boxOfDrag({ x: 90, y: 80 }, { x: 10, y: 20 }, 100, 100)).toEqual([10, 20, 90, 80]);
  });
  test('a box ends at the photo', () => {
    expect(boxOfDrag({ x: -50, y: 20 }, { x: 500, y: 60 }, 100, 100)).toEqual([0, 20, 100, 60]);
  });
  test('a slip of the hand is no box', () => {
    expect(boxOfDrag({ x: 10, y: 10 }, { x: 11, y: 80 }, 100, 100)).toBeNull();
  });
  test('a box that is moved keeps its size and stays inside', () => {
    expect(nudge('ArrowLeft', [50, 10, 70, 30], 120, 100, false)).toEqual([48, 10, 68, 30]);
    expect(nudge('ArrowDown', [10, 79, 30, 99], 120, 100, false)).toEqual([10, 80, 30, 100]);
  });
  test('a box that is made smaller keeps something', () => {
    expect(nudge('ArrowLeft', [10, 10, 13, 30], 120, 100, true)).toEqual([10, 10, 11.8, 30]);
  });
  test('other keys move nothing', () => {
    expect(nudge('Enter', [10, 10, 30, 30], 120, 100, false)).toBeNull();
  });
});

test('a mask is tinted inside, opaque on its outline, and clear outside', () => {
  const [width, height] = [5, 5];
  const inside = new Uint8Array(25);
  for (let y = 1; y < 4; y++) for (let x = 1; x < 4; x++) inside[5 * y + x] = 1;
  const rgba = new Uint8ClampedArray(100);
  paint(rgba, inside, width, height, [1, 2, 3]);
  const alpha = (x: number, y: number) => rgba[4 * (5 * y + x) + 3];
  expect(alpha(0, 0)).toBe(0);
  expect(alpha(1, 2)).toBe(255);
  expect(alpha(2, 2)).toBeGreaterThan(0);
  expect(alpha(2, 2)).toBeLessThan(255);
});

test('phrases are split, trimmed and not repeated', () => {
  expect(split(' red  chair, lamp;; lamp \n')).toEqual(['red chair', 'lamp']);
  expect(split('杯子、勺子；碗 | كوب، ملعقة')).toEqual(['杯子', '勺子', '碗', 'كوب', 'ملعقة']);
  expect(split('"salt, pepper", cup')).toEqual(['"salt, pepper"', 'cup']);
});

test('a tap in the first pixel is not sent as parts of the photo', () => {
  expect(pointOf(0.4, 0.7)).toEqual([1.001, 0.7]);
  expect(pointOf(0.4, 80)).toEqual([0.4, 80]);
});

test('a route survives the URL', () => {
  for (const route of [{ page: 'new' }, { page: 'job', id: 'a b&c=d' }] as const) {
    expect(parse(format(route))).toEqual(route);
  }
});

test.each([
  [0, '0 B'],
  [999, '999 B'],
  [1000, '1.0 kB'],
  [999_499, '999 kB'],
  [999_500, '1.0 MB'],
  [67_108_864, '67 MB'],
])('%i bytes read as %s', (n, text) => expect(bytes(n)).toBe(text));

test('times, shares and counts', () => {
  expect(duration(59.4)).toBe('59 s');
  expect(duration(61)).toBe('1 min 1 s');
  expect(duration(3700)).toBe('1 h 1 min');
  expect(percent(1.2)).toBe('100 %');
  expect(plural(1, 'object')).toBe('1 object');
  expect(plural(2500, 'object')).toBe('2,500 objects');
  const now = new Date('2026-01-02T12:00:00Z');
  expect(ago('2026-01-02T11:59:30Z', now)).toBe('just now');
  expect(ago('2026-01-02T09:00:00Z', now)).toBe('3 h ago');
});

test('textures are powers of two, and what the server takes for granted', () => {
  expect(sides({ minimum: 64, maximum: 512, default: 256 })).toEqual([64, 128, 256, 512]);
  expect(sides({ minimum: 100, maximum: 300, default: 200 })).toEqual([128, 200, 256]);
});

test('an embedded scene gives back its files, and offers only those', async () => {
  const packed = await new Response(
    new Blob(['splats']).stream().pipeThrough(new CompressionStream('gzip')),
  ).arrayBuffer();
  const text = btoa(String.fromCharCode(...new Uint8Array(packed)));
  const files = [{ path: 'a.ply', bytes: 6 }, { path: 'b.obj', bytes: 1 }];
  const source = embeddedSource({ manifest: { files } as Manifest, files: { 'a.ply': text } });
  expect(new TextDecoder().decode(await source.bytes('a.ply'))).toBe('splats');
  expect(source.manifest.files).toEqual([files[0]]);
  await expect(source.bytes('b.obj')).rejects.toThrow('does not hold b.obj');
});

describe('files that are chosen', () => {
  const file = (name: string, type: string, size = 9) => ({ name, type, size });
  test('photos are taken, by their type or by their ending', () => {
    for (const one of [file('a.jpg', 'image/jpeg'), file('IMG_1.HEIC', ''), file('scan.tiff', ''), file('a.ppm', '')]) {
      expect(whyNoPhoto(one)).toBe('');
    }
  });
  test('what can be no photo is refused with its name, before anything is sent', () => {
    expect(whyNoPhoto(file('a.pdf', 'application/pdf'))).toContain('a.pdf is no photo');
    expect(whyNoPhoto(file('logo.svg', 'image/svg+xml'))).toContain('a drawing');
    expect(whyNoPhoto(file('notes', ''))).toContain('notes is no photo');
    expect(whyNoPhoto(file('a.jpg', 'image/jpeg', 0))).toContain('empty');
  });
});

describe('downloads', () => {
  const paths = [
    'scene.obj', 'scene.mtl', 'scene_00_cup.png', 'scene.glb', 'preview.png', 'scene.xml', 'scene.usdc',
    'objects/00_cup/mask.png', 'scene_physics/00_cup_0.stl', 'scene_usd/00_cup.png',
  ];
  const files = paths.map((path) => ({ path, bytes: 1, sha256: '' }));
  test.each([
    ['scene.obj', ['scene.obj', 'scene.mtl', 'scene_00_cup.png']],
    ['scene.xml', ['scene.xml', 'scene_physics/00_cup_0.stl']],
    ['scene.usdc', ['scene.usdc', 'scene_usd/00_cup.png']],
    ['scene.glb', ['scene.glb']],
  ])('%s comes with what it names, and nothing else', (path, expected) => {
    expect(withParts({ path, bytes: 1 }, files).map((f) => f.path)).toEqual(expected);
  });
});
