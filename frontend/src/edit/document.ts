/** `edits.json` (docs/edits.md): how each object of a scene is now, as values that never change. */

import type { Manifest, Pose } from '../viewer/manifest';

/** First splat and how many. */
export type Run = [first: number, count: number];

export interface ObjectEdit {
  object: number;
  copy_of: number | null;
  name: string | null;
  deleted: boolean;
  transform: Pose | null;
  splats_removed: Run[];
}

export interface EditsDocument {
  version: 1;
  scene: string;
  scale: number | null;
  objects: ObjectEdit[];
}

export function entryOf(edits: EditsDocument, object: number): ObjectEdit {
  return edits.objects.find((entry) => entry.object === object) ?? {
    object, copy_of: null, name: null, deleted: false, transform: null, splats_removed: [],
  };
}

/** The document with some facts of an object changed. */
export function changed(
  edits: EditsDocument, object: number, facts: Partial<ObjectEdit>,
): EditsDocument {
  const entry = { ...entryOf(edits, object), ...facts };
  const others = edits.objects.filter((other) => other.object !== object);
  return { ...edits, objects: [...others, entry].sort((a, b) => a.object - b.object) };
}

/** The document without what was done to an object; a copy goes as a whole. */
export function withoutEntry(edits: EditsDocument, object: number): EditsDocument {
  return { ...edits, objects: edits.objects.filter((entry) => entry.object !== object) };
}

/** A number for a copy, which no object of the scene has nor ever had. */
export function nextNumber(edits: EditsDocument, manifest: Manifest): number {
  const numbers = [
    ...manifest.objects.map((o) => o.index), ...manifest.failed.map((f) => f.index),
    ...edits.objects.map((entry) => entry.object),
  ];
  return Math.max(-1, ...numbers) + 1;
}

/** The runs of splats that a mask has set. */
export function runsOf(mask: Uint8Array): Run[] {
  const runs: Run[] = [];
  for (let k = 0; k < mask.length; k++) {
    if (!mask[k]) continue;
    const first = k;
    while (k < mask.length && mask[k]) k++;
    runs.push([first, k - first]);
  }
  return runs;
}

export function maskOf(runs: readonly Run[], count: number): Uint8Array {
  const mask = new Uint8Array(count);
  for (const [first, length] of runs) mask.fill(1, first, first + length);
  return mask;
}

export function countOf(runs: readonly Run[]): number {
  return runs.reduce((sum, [, count]) => sum + count, 0);
}

/** A value with what it was before, and what was undone. */
export class History<T> {
  #past: T[] = [];
  #present: T;
  #future: T[] = [];

  constructor(first: T) {
    this.#present = first;
  }

  get value(): T {
    return this.#present;
  }

  get canUndo(): boolean {
    return this.#past.length > 0;
  }

  get canRedo(): boolean {
    return this.#future.length > 0;
  }

  put(value: T): void {
    this.#past.push(this.#present);
    this.#present = value;
    this.#future = [];
  }

  undo(): void {
    const before = this.#past.pop();
    if (before === undefined) return;
    this.#future.push(this.#present);
    this.#present = before;
  }

  redo(): void {
    const after = this.#future.pop();
    if (after === undefined) return;
    this.#past.push(this.#present);
    this.#present = after;
  }
}
