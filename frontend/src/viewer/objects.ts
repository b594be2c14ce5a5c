import { SplatFileType, SplatMesh } from '@sparkjsdev/spark';
import { Box3, Group, Mesh, MeshStandardMaterial, type Material, type Object3D } from 'three';
import { GLTFLoader } from 'three/addons/loaders/GLTFLoader.js';

import type { Manifest, SceneObject } from './manifest';
import type { Source } from './source';

export type Mode = 'splats' | 'mesh' | 'both' | 'wireframe';

/** Scenes with more splats than this are drawn at levels of detail. */
const LOD_ABOVE = 500_000;
const SPLATS_TIMEOUT_MS = 120_000;

/** One object: its pose as a group, with mesh and splats inside, each loaded on its own. */
export class ObjectNode {
  readonly group = new Group();
  readonly about: SceneObject;
  hidden = false;
  #mesh: Object3D | null = null;
  #splats: SplatMesh | null = null;

  constructor(about: SceneObject) {
    this.about = about;
    const { rotation, translation, scale } = about.pose;
    const [w, x, y, z] = rotation;
    this.group.name = about.name;
    this.group.quaternion.set(x, y, z, w);
    this.group.position.set(...translation);
    this.group.scale.setScalar(scale);
  }

  async loadMesh(source: Source): Promise<void> {
    if (!this.about.files.mesh) return;
    const bytes = await source.bytes(this.about.files.mesh);
    const { scene } = await new GLTFLoader().parseAsync(bytes, '');
    this.#mesh = scene;
    this.group.add(scene);
  }

  async loadSplats(source: Source, lod: boolean): Promise<void> {
    if (!this.about.files.splats) return;
    const fileBytes = await source.bytes(this.about.files.splats);
    const splats = new SplatMesh({ fileBytes, fileType: SplatFileType.PLY, lod });
    // Spark's worker can fail without settling its promise.
    await within(splats.initialized, SPLATS_TIMEOUT_MS, `The splats of ${this.about.label}`);
    this.#splats = splats;
    this.group.add(splats);
  }

  /** Show what the mode asks for; the mesh stands in until the splats are there. */
  show(mode: Mode): void {
    this.group.visible = !this.hidden;
    const wantsSplats = mode === 'splats' || mode === 'both';
    const wantsMesh = mode !== 'splats' || this.#splats === null;
    // Spark reads each splat mesh's own flag, three its parents' too.
    if (this.#splats) this.#splats.visible = wantsSplats && !this.hidden;
    if (this.#mesh) {
      this.#mesh.visible = wantsMesh || !this.#splats;
      for (const material of materials(this.#mesh)) material.wireframe = mode === 'wireframe';
    }
  }

  get loaded(): boolean {
    return this.#mesh !== null || this.#splats !== null;
  }

  get hasSplats(): boolean {
    return this.#splats !== null;
  }

  /** Bounds in the scene's frame; empty while nothing is loaded. */
  bounds(): Box3 {
    this.group.updateMatrixWorld(true);
    if (this.#mesh) return new Box3().setFromObject(this.#mesh);
    const box = this.#splats?.getBoundingBox(true) ?? new Box3();
    return box.applyMatrix4(this.group.matrixWorld);
  }

  dispose(): void {
    this.#splats?.dispose();
    this.#mesh?.traverse((node) => {
      if (node instanceof Mesh) node.geometry.dispose();
    });
    if (this.#mesh) for (const material of materials(this.#mesh)) release(material);
  }
}

export function needsLevels(manifest: Manifest): boolean {
  return manifest.objects.reduce((sum, o) => sum + o.gaussians, 0) > LOD_ABOVE;
}

function materials(root: Object3D): MeshStandardMaterial[] {
  const found: MeshStandardMaterial[] = [];
  root.traverse((node) => {
    if (!(node instanceof Mesh)) return;
    const all: Material[] = Array.isArray(node.material) ? node.material : [node.material];
    found.push(...all.filter((m) => m instanceof MeshStandardMaterial));
  });
  return found;
}

function release(material: MeshStandardMaterial): void {
  material.map?.dispose();
  material.dispose();
}

async function within<T>(promise: Promise<T>, ms: number, what: string): Promise<T> {
  let timer = 0;
  const late = new Promise<never>((_, reject) => {
    timer = window.setTimeout(() => reject(new Error(`${what} did not load in time.`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
