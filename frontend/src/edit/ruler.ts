import { BufferGeometry, Line, LineBasicMaterial, Vector3, type Object3D } from 'three';

import type { Pose } from '../viewer/manifest';
import type { ObjectNode } from '../viewer/objects';
import type { Measured } from './measurePanel';
import { reach } from './posing';

/** Lengths in the scene: between two points that were clicked, or along an object. */
export class Ruler {
  readonly line: Object3D;
  readonly #geometry = new BufferGeometry();
  readonly #up: Vector3;
  #clicked: Vector3[] | null = null;
  #points: [Vector3, Vector3] | null = null;

  /** @param colour of the line that is measured. */
  constructor(up: Vector3, colour: number) {
    this.#up = up;
    this.line = new Line(this.#geometry, new LineBasicMaterial({ color: colour, depthTest: false }));
    this.line.renderOrder = 4;
    this.line.visible = false;
  }

  /** Take the next two clicks for points. */
  begin(): void {
    this.#clicked = [];
  }

  /** Whether a click is for it. */
  get waiting(): boolean {
    return this.#clicked !== null;
  }

  take(place: Vector3): void {
    this.#clicked?.push(place);
    const [a, b] = this.#clicked ?? [];
    if (!a || !b) return;
    this.#points = [a, b];
    this.#clicked = null;
    this.#geometry.setFromPoints(this.#points);
  }

  show(what: Measured): void {
    this.line.visible = this.#points !== null && what === 'points';
  }

  /** In units of the run; null where there is nothing to measure. */
  length(what: Measured, node: ObjectNode | null, pose: Pose | null): number | null {
    if (what === 'points') return this.#points ? this.#points[0].distanceTo(this.#points[1]) : null;
    if (!node || !pose) return null;
    const depth = new Vector3(0, 0, 1).projectOnPlane(this.#up).normalize();
    const along = { height: this.#up, depth, width: new Vector3().crossVectors(this.#up, depth) };
    const [low, high] = reach(node.surfacePoints, pose, along[what]);
    return high > low ? high - low : null;
  }

  dispose(): void {
    this.line.removeFromParent();
    this.#geometry.dispose();
  }
}
