import { Group, Mesh, MeshBasicMaterial, MeshStandardMaterial, type Object3D } from 'three';
import { GLTFLoader } from 'three/addons/loaders/GLTFLoader.js';

import type { Manifest } from './manifest';
import type { Source } from './source';

const FILE = 'background.glb';

/**
 * What the photo shows around and behind the objects, as the mesh: splats of the same would be as
 * many as all objects have. It is seen from its front only, so that it hides nothing from behind.
 */
export class Room {
  readonly group = new Group();
  #disposed = false;

  static isIn(manifest: Manifest): boolean {
    return manifest.files.some((file) => file.path === FILE);
  }

  constructor() {
    this.group.name = 'background';
    this.group.visible = false;
  }

  get loaded(): boolean {
    return this.group.children.length > 0;
  }

  async load(source: Source): Promise<void> {
    const bytes = await source.bytes(FILE);
    const { scene } = await new GLTFLoader().parseAsync(bytes, '').catch(() => {
      throw new Error('The background is damaged.');
    });
    for (const mesh of meshesOf(scene)) {
      // The photo's own light is in its colours.
      const { map } = mesh.material as MeshStandardMaterial;
      (mesh.material as MeshStandardMaterial).dispose();
      mesh.material = new MeshBasicMaterial({ map });
      mesh.renderOrder = -1; // before all splats
    }
    this.group.add(scene);
    if (this.#disposed) this.dispose();
  }

  dispose(): void {
    this.#disposed = true;
    for (const mesh of meshesOf(this.group)) {
      const material = mesh.material as MeshBasicMaterial;
      material.map?.dispose();
      material.dispose();
      mesh.geometry.dispose();
    }
  }
}

function meshesOf(root: Object3D): Mesh[] {
  const meshes: Mesh[] = [];
  root.traverse((node) => {
    if (node instanceof Mesh) meshes.push(node);
  });
  return meshes;
}
