import { Vector3 } from 'three';

import type { Pose } from '../viewer/manifest';
import type { ObjectNode } from '../viewer/objects';
import { changed, entryOf, nextNumber, withoutEntry, type ObjectEdit } from './document';
import type { EditedScene } from './editedScene';
import { groundFor, movedAlong, reach } from './posing';

/** What is done to objects, each as a new state of the session. */
export class Changes {
  readonly #scene: EditedScene;
  readonly #nodeOf: (object: number | null) => ObjectNode | null;
  readonly #up: Vector3;

  constructor(scene: EditedScene, nodeOf: (object: number | null) => ObjectNode | null, up: Vector3) {
    this.#scene = scene;
    this.#nodeOf = nodeOf;
    this.#up = up;
  }

  /** Change facts of the chosen object. */
  edit(facts: Partial<ObjectEdit>): void {
    const { selected, session } = this.#scene;
    if (selected !== null) session.put(changed(session.edits, selected, facts));
  }

  /** Change the pose of the chosen object, from what it is and what the run gave it. */
  place(change: (pose: Pose, own: Pose) => Pose): void {
    const { selected } = this.#scene;
    const own = this.#scene.original(selected)?.pose, pose = this.#scene.pose(selected);
    if (pose && own) this.edit({ transform: change(pose, own) });
  }

  /** The pose that the run gave it; of a copy, its original's. */
  resetPose(): void {
    const { selected, selectedEntry } = this.#scene;
    this.edit({ transform: selectedEntry?.copy_of == null ? null : this.#scene.original(selected)?.pose ?? null });
  }

  rename(text: string): void {
    const name = text.trim().replace(/\s+/g, ' ');
    const own = this.#scene.original(this.#scene.selected)?.label;
    this.edit({ name: name === '' || name === own ? null : name });
  }

  /** Put a copy beside an object, and choose it. */
  copy(object: number): void {
    const own = this.#scene.original(object), pose = this.#scene.pose(object), node = this.#nodeOf(object);
    if (!own || !pose) return;
    const { session } = this.#scene;
    const number = nextNumber(session.edits, this.#scene.manifest);
    const { name, splats_removed } = this.#scene.entry(object);
    const width = node?.loaded ? node.bounds().getSize(new Vector3()).x : pose.scale;
    const beside = movedAlong(pose, new Vector3(1, 0, 0), 1.1 * width);
    this.#scene.selected = number;
    session.put(changed(session.edits, number, { copy_of: own.index, name, transform: beside, splats_removed }));
  }

  /** Delete an object or restore it; false where it is the last one, which stays. */
  remove(object: number, deleted: boolean): boolean {
    const { session } = this.#scene, { edits } = session;
    const rest = this.#scene.objects.filter((other) => other !== object && !entryOf(edits, other).deleted);
    if (deleted && rest.length === 0) return false;
    const isCopy = entryOf(edits, object).copy_of !== null;
    if (isCopy && this.#scene.selected === object) this.#scene.selected = rest[0] ?? null;
    session.put(isCopy ? withoutEntry(edits, object) : changed(edits, object, { deleted }));
    return true;
  }

  /** Put the chosen object on the level nearest to it, or where the others stand. */
  ground(): void {
    const { selected, manifest } = this.#scene;
    const node = this.#nodeOf(selected), pose = this.#scene.pose(selected);
    if (!node || !pose) return;
    const [bottom] = reach(node.surfacePoints, pose, this.#up);
    const others = manifest.objects.filter((o) => o.index !== selected).flatMap((o) => {
      const other = this.#nodeOf(o.index);
      const [low] = other ? reach(other.surfacePoints, o.pose, this.#up) : [Infinity];
      return Number.isFinite(low) ? [low] : [];
    });
    const own = this.#scene.original(selected);
    const first = own ? reach(node.surfacePoints, own.pose, this.#up)[0] : bottom;
    const level = groundFor(bottom, manifest.levels ?? [], others) ?? first;
    if (Number.isFinite(bottom)) this.place((at) => movedAlong(at, this.#up, level - bottom));
  }
}
