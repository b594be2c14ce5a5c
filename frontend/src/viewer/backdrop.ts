import {
  Group,
  Matrix4,
  Mesh,
  MeshBasicMaterial,
  PlaneGeometry,
  SRGBColorSpace,
  TextureLoader,
  Vector3,
  type PerspectiveCamera,
} from 'three';

import type { Camera } from './manifest';

const FADE_FROM = 8; // degrees away from where the photo was taken
const FADE_TO = 30;

/**
 * The photo as a picture standing behind the objects, at the place that its camera gives it: from
 * the photo's camera it is exactly the photo, and it fades as one walks around.
 */
export class Backdrop {
  readonly group = new Group();
  readonly #material = new MeshBasicMaterial({ transparent: true, depthWrite: false });
  readonly #plane: Mesh;
  /** The same photo before everything, as thick as one wants it. */
  readonly #veil: Mesh<PlaneGeometry, MeshBasicMaterial>;
  readonly #eye: Vector3;
  readonly #camera: Camera;

  constructor(camera: Camera, sceneFromCamera: Matrix4) {
    this.#camera = camera;
    this.#eye = new Vector3().setFromMatrixPosition(sceneFromCamera);
    this.#plane = new Mesh(new PlaneGeometry(1, 1), this.#material);
    this.#plane.renderOrder = -1; // before all splats
    const before = new MeshBasicMaterial({ transparent: true, depthTest: false, depthWrite: false, opacity: 0 });
    this.#veil = new Mesh(new PlaneGeometry(1, 1), before);
    this.#veil.renderOrder = 10; // after all splats
    this.#veil.visible = false;
    this.group.add(this.#plane, this.#veil);
    this.group.applyMatrix4(sceneFromCamera);
    this.group.visible = false;
  }

  async load(url: string): Promise<void> {
    const texture = await new TextureLoader().loadAsync(url);
    texture.colorSpace = SRGBColorSpace;
    for (const material of [this.#material, this.#veil.material]) {
      material.map = texture;
      material.needsUpdate = true;
    }
  }

  /** Put the picture at a distance from the photo's camera. */
  place(depth: number): void {
    const { fx, fy, cx, cy, width, height } = this.#camera;
    this.#plane.scale.set((width * depth) / fx, (height * depth) / fy, 1);
    this.#plane.position.set(
      ((width / 2 - cx) * depth) / fx, ((cy - height / 2) * depth) / fy, -depth,
    );
    this.#veil.scale.copy(this.#plane.scale);
    this.#veil.position.copy(this.#plane.position);
  }

  /** From the scene alone, 0, to the photo alone, 1. */
  mix(share: number): void {
    this.#veil.material.opacity = share;
    this.#veil.visible = share > 0;
  }

  /** Fade with the angle between the photo's view of `target` and the eye's. */
  fade(eye: PerspectiveCamera, target: Vector3): void {
    const angle = this.#eye.clone().sub(target).angleTo(eye.position.clone().sub(target));
    const degrees = (angle * 180) / Math.PI;
    const t = Math.min(1, Math.max(0, (degrees - FADE_FROM) / (FADE_TO - FADE_FROM)));
    this.#material.opacity = 1 - t;
    this.#plane.visible = t < 1;
  }

  dispose(): void {
    this.#material.map?.dispose();
    this.#material.dispose();
    this.#plane.geometry.dispose();
    this.#veil.material.dispose();
    this.#veil.geometry.dispose();
  }
}
