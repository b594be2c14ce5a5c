import { Box3, BufferAttribute, Matrix4, Quaternion, Vector3 } from 'three';
import { describe, expect, test } from 'vitest';

import { changed, entryOf, History, maskOf, nextNumber, runsOf, type EditsDocument } from '../src/edit/document';
import { degreesOf, groundFor, reach, turnedTo, upright } from '../src/edit/posing';
import { Ruler } from '../src/edit/ruler';
import { fainterThan, floaters, inside, readSplats } from '../src/edit/splats';
import type { Manifest, Pose } from '../src/viewer/manifest';
import type { ObjectNode } from '../src/viewer/objects';
import { boundsOf } from '../src/viewer/reach';

const NOTHING: EditsDocument = { version: 1, scene: '0'.repeat(64), scale: null, objects: [] };
const POSE: Pose = { rotation: [0.8, 0, 0.6, 0], translation: [1, 2, -3], scale: 0.5 };

/** Splats at the given places, the k-th with a logit of opacity of k. */
function splatFile(places: readonly (readonly number[])[]): ArrayBuffer {
  const names = ['x', 'y', 'z', 'f_dc_0', 'f_dc_1', 'f_dc_2', 'opacity'];
  const head = new TextEncoder().encode(
    ['ply', 'format binary_little_endian 1.0', `element vertex ${places.length}`,
      ...names.map((name) => `property float ${name}`), 'end_header', ''].join('\n'));
  const rows = new Float32Array(places.flatMap((place, k) => [...place, 0, 10, -10, k]));
  const file = new Uint8Array(head.length + rows.byteLength);
  file.set(head);
  file.set(new Uint8Array(rows.buffer), head.length);
  return file.buffer;
}

/** A dense cube of splats, and three that hang beside it. */
function cubeWithFloaters() {
  const places: number[][] = [];
  for (let k = 0; k < 1000; k++) places.push([k % 10, Math.floor(k / 10) % 10, Math.floor(k / 100)].map((v) => v / 10));
  places.push([2.5, 0, 0], [2.51, 0, 0], [0, -3, 0]);
  return readSplats(splatFile(places));
}

describe('edits', () => {
  test('a mask and its runs say the same', () => {
    const mask = Uint8Array.from([1, 1, 0, 0, 1, 0, 1]);
    expect(runsOf(mask)).toEqual([[0, 2], [4, 1], [6, 1]]);
    expect(maskOf(runsOf(mask), 7)).toEqual(mask);
  });
  test('a change leaves the document before as it was', () => {
    const next = changed(changed(NOTHING, 3, { deleted: true }), 1, { name: 'mug' });
    expect(NOTHING.objects).toEqual([]);
    expect(next.objects.map((entry) => entry.object)).toEqual([1, 3]);
    expect(entryOf(next, 3)).toMatchObject({ deleted: true, name: null });
  });
  test('a copy gets a number that nothing has', () => {
    const manifest = { objects: [{ index: 0 }], failed: [{ index: 4 }] } as unknown as Manifest;
    expect(nextNumber(NOTHING, manifest)).toBe(5);
    expect(nextNumber(changed(NOTHING, 5, { copy_of: 0 }), manifest)).toBe(6);
  });
  test('what is undone can be redone until something else is done', () => {
    const history = new History(1);
    history.put(2);
    history.put(3);
    history.undo();
    history.undo();
    expect([history.value, history.canUndo, history.canRedo]).toEqual([1, false, true]);
    history.redo();
    expect(history.value).toBe(2);
    history.put(9);
    expect([history.value, history.canRedo]).toEqual([9, false]);
  });
});

describe('ruler', () => {
  // A camera that looks down by 25 degrees, and a door of two metres as an object of length one in its own frame.
  const up = new Vector3(0, Math.cos(0.44), Math.sin(0.44));
  const turn = new Quaternion().setFromUnitVectors(new Vector3(0, 1, 0), up);
  const door: Pose = { rotation: [turn.w, turn.x, turn.y, turn.z], translation: [1, -0.4, -3], scale: 2 };
  const corners = [-0.2, 0.2].flatMap((x) => [-0.5, 0.5].flatMap((y) => [-0.01, 0.01].flatMap((z) => [x, y, z])));
  const node = { surfacePoints: new Float32Array(corners) } as unknown as ObjectNode;

  test('a door of two metres is two metres high, and forty centimetres times two wide', () => {
    const ruler = new Ruler(up, 0);
    expect(ruler.length('height', node, door)).toBeCloseTo(2, 5);
    expect(ruler.length('width', node, door)).toBeCloseTo(0.8, 5);
  });
  test('and so are the two clicks on its ends', () => {
    const ruler = new Ruler(up, 0);
    expect(ruler.length('points', null, null)).toBeNull();
    ruler.begin();
    for (const y of [-1, 1]) ruler.take(up.clone().multiplyScalar(y).add(new Vector3(1, -0.4, -3)));
    expect(ruler.waiting).toBe(false);
    expect(ruler.length('points', null, null)).toBeCloseTo(2, 5);
  });
});

describe('poses', () => {
  test('degrees come back as they were given', () => {
    const turned = turnedTo(POSE, [10, -20, 30]);
    expect(degreesOf(turned).map((v) => Math.round(1e6 * v) / 1e6)).toEqual([10, -20, 30]);
    expect(turned.translation).toEqual(POSE.translation);
  });
  test('upright turns y up and leaves the rest of the turn', () => {
    const stood = upright(turnedTo(POSE, [25, 0, 40]), new Vector3(0, 1, 0));
    const [x, , z] = degreesOf(stood);
    expect(Math.hypot(x, z)).toBeCloseTo(0, 6);
  });
  test('an object reaches from its lowest point to its highest', () => {
    const points = new Float32Array([0, -1, 0, 0, 1, 0]);
    expect(reach(points, POSE, new Vector3(0, 1, 0))).toEqual([1.5, 2.5]);
    // As three does it, for a turned and mirrored one too.
    const matrix = new Matrix4().compose(new Vector3(1, 2, -3), new Quaternion(0.6, 0, 0.8, 0), new Vector3(-2, 3, 0.5));
    const some = new Float32Array([0, -1, 0, 0, 1, 0, 3, 0.5, -2, 7, 1, 1]);
    const box = new Box3().setFromBufferAttribute(new BufferAttribute(some, 3).clone().applyMatrix4(matrix));
    const mine = boundsOf(some, matrix);
    for (const end of ['min', 'max'] as const) mine[end].toArray().forEach((v, k) => expect(v).toBeCloseTo(box[end].getComponent(k), 5));
  });
  test('the ground is the nearest level, or where the others stand', () => {
    expect(groundFor(0.1, [-1, 0.3], [5])).toBe(0.3);
    expect(groundFor(0.1, [], [-2, -1, 7])).toBe(-1);
    expect(groundFor(0.1, [], [])).toBeNull();
  });
});

describe('splats', () => {
  test('a file is read with colours and opacities', () => {
    const { count, means, opacities, rgba } = readSplats(splatFile([[1, 2, 3], [4, 5, 6]]));
    expect([count, [...means]]).toEqual([2, [1, 2, 3, 4, 5, 6]]);
    expect(opacities[1]).toBeCloseTo(1 / (1 + Math.exp(-1)), 6);
    expect([...rgba.slice(0, 4)]).toEqual([128, 255, 0, 128]);
  });
  test('a file of another kind is refused', () => {
    expect(() => readSplats(new TextEncoder().encode('ply\nformat ascii 1.0\n').buffer)).toThrow('edited');
  });
  test('a sphere and a box take what is in them', () => {
    const splats = readSplats(splatFile([[0, 0, 0], [0.9, 0.9, 0], [2, 0, 0]]));
    const place = { centre: [0, 0, 0], half: [1, 1, 1] } as const;
    expect([...inside(splats, { kind: 'sphere', ...place })]).toEqual([1, 0, 0]);
    expect([...inside(splats, { kind: 'box', ...place })]).toEqual([1, 1, 0]);
    expect([...fainterThan(splats, 0.6)]).toEqual([1, 0, 0]);
  });
  test('what hangs beside an object is suggested, and the object is not', () => {
    const splats = cubeWithFloaters();
    expect(runsOf(floaters(splats, new Uint8Array(splats.count)))).toEqual([[1000, 3]]);
    const gone = maskOf([[1000, 3]], splats.count);
    expect(runsOf(floaters(splats, gone))).toEqual([]);
  });
});
