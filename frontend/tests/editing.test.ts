import { expect, test } from 'vitest';

import { area, boxOf, fromRuns, joined, painted, parts, resized, toRuns, type Bits } from '../src/canvas/bits';
import { Editing, type MaskRequest } from '../src/canvas/editing';
import { Notice } from '../src/ui/notice';
import { problemOf } from '../src/ui/problem';

/** A mask from lines of "#" and ".". */
function drawn(...lines: string[]): Bits {
  const width = lines[0]?.length ?? 0;
  return { width, height: lines.length, data: Uint8Array.from(lines.join(''), (c) => Number(c === '#')) };
}

const TWO = drawn('##..', '....', '...#');

test('masks travel as runs and come back', () => {
  expect(toRuns(TWO)).toEqual({ width: 4, height: 3, runs: [0, 2, 9, 1] });
  expect(fromRuns(toRuns(TWO))).toEqual(TWO);
  expect(toRuns(drawn('...', '...')).runs).toEqual([6]);
});

test('masks are joined, painted, enlarged and taken apart', () => {
  expect(area(joined(TWO, drawn('..#.', '....', '....')))).toBe(4);
  expect(painted(TWO, drawn('#...', '....', '....'), false)).toEqual(drawn('.#..', '....', '...#'));
  expect(boxOf(TWO)).toEqual([0, 0, 4, 3]);
  expect(boxOf(drawn('..'))).toBeNull();
  expect(parts(TWO)).toEqual([drawn('##..', '....', '....'), drawn('....', '....', '...#')]);
  expect(resized(TWO, 8, 6).data.reduce((sum, v) => sum + v, 0)).toBe(12);
});

function editing(): { desk: Editing; asked: MaskRequest[] } {
  const asked: MaskRequest[] = [];
  const found = { label: 'cup', detail: '', included: true, index: 0, bits: TWO, base: TWO, box: null, taps: [] };
  const desk = new Editing([found], (what) => {
    asked.push(what);
    return Promise.resolve(drawn('#...', '....', '....'));
  }, () => {});
  return { desk, asked };
}

test('what is done is undone and done again, to the same masks', async () => {
  const { desk } = editing();
  const states = [desk.things];
  desk.select(0);
  await desk.tap({ x: 1, y: 1, positive: false });
  states.push(desk.things);
  desk.rename(0, 'mug');
  states.push(desk.things);
  desk.remove(0);
  desk.undo();
  expect(desk.things).toBe(states[2]);
  desk.undo();
  desk.undo();
  expect(desk.things).toBe(states[0]);
  expect(desk.canUndo).toBe(false);
  desk.redo();
  expect(desk.things).toBe(states[1]);
  desk.toggle(0);
  expect(desk.canRedo).toBe(false);
});

test('what nobody needs to reload the page for is said as it is', () => {
  expect(problemOf(new Notice('Draw a box around it.')).detail).toBe('Draw a box around it.');
  expect(problemOf(new Error('It broke.')).detail).toBe('It broke. Reload the page and try again.');
});

test('a click starts from the mask that was found; several are sent together', async () => {
  const { desk, asked } = editing();
  desk.select(0);
  void desk.tap({ x: 1, y: 1, positive: false });
  await desk.tap({ x: 2, y: 1, positive: true });
  expect(asked.map((a) => a.taps.length)).toEqual([1, 2]);
  expect(asked[1]?.base).toBe(TWO);
  expect(desk.selected?.index).toBeNull(); // no longer as it was found
  desk.select(null);
  await desk.tap({ x: 0, y: 0, positive: true });
  expect(asked[2]).toMatchObject({ base: null, taps: [{ x: 0, y: 0 }] });
  expect(desk.things).toHaveLength(2);
});

test('objects are merged and split', () => {
  const { desk } = editing();
  expect(desk.split(0)).toBe(true);
  expect(desk.things.map((t) => area(t.bits))).toEqual([2, 1]);
  const [a, b] = desk.things;
  desk.merge(a?.id ?? -1, b?.id ?? -1);
  expect(desk.things.map((t) => area(t.bits))).toEqual([3]);
  expect(desk.things[0]?.bits).toEqual(TWO);
});
