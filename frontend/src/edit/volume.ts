import { BoxGeometry, EdgesGeometry, Group, LineBasicMaterial, LineSegments, SphereGeometry, WireframeGeometry } from 'three';

import type { Volume } from './splats';

const COLOUR = 0xe6781e;

/** The box or sphere that names splats, as lines in the object's frame. */
export class VolumeShape {
  readonly group = new Group();
  readonly #ink = new LineBasicMaterial({ color: COLOUR, depthTest: false, transparent: true });
  readonly #box = new LineSegments(new EdgesGeometry(new BoxGeometry(2, 2, 2)), this.#ink);
  readonly #sphere = new LineSegments(new WireframeGeometry(new SphereGeometry(1, 16, 8)), this.#ink);

  constructor() {
    this.group.add(this.#box, this.#sphere);
    this.#box.renderOrder = this.#sphere.renderOrder = 3;
    this.kind = 'sphere';
  }

  set kind(kind: Volume['kind']) {
    this.#box.visible = kind === 'box';
    this.#sphere.visible = kind === 'sphere';
  }

  get kind(): Volume['kind'] {
    return this.#box.visible ? 'box' : 'sphere';
  }

  get volume(): Volume {
    const { position: p, scale: s } = this.group;
    return {
      kind: this.kind, centre: [p.x, p.y, p.z], half: [Math.abs(s.x), Math.abs(s.y), Math.abs(s.z)],
    };
  }

  set volume({ kind, centre, half }: Volume) {
    this.kind = kind;
    this.group.position.set(...centre);
    this.group.scale.set(...half);
  }

  dispose(): void {
    this.group.removeFromParent();
    this.#box.geometry.dispose();
    this.#sphere.geometry.dispose();
    this.#ink.dispose();
  }
}
