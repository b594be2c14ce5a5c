import { RgbaArray, SplatFileType, SplatMesh } from '@sparkjsdev/spark';
import { Box3, Group, Mesh, Vector3, type BufferGeometry, type Object3D, type PerspectiveCamera } from 'three';
import { GLTFLoader } from 'three/addons/loaders/GLTFLoader.js';

import type { Environment } from './environment';
import type { Pose, SceneObject } from './manifest';
import { sampledPly } from './ply';
import { boundsOf } from './reach';
import type { Source } from './source';
import { Surface } from './surface';

export type Mode = 'splats' | 'mesh' | 'both' | 'wireframe';

const SAMPLE = 40_000; // splats of the first picture of an object without a mesh
const SPLATS_TIMEOUT_MS = 120_000;

/** One object: its pose as a group, with mesh and splats inside, each loaded on its own. */
export class ObjectNode {
  readonly group = new Group();
  readonly about: SceneObject;
  hidden = false;
  #mesh: Object3D | null = null;
  #surface: Surface | null = null;
  #points: Float32Array | null = null;
  #splats: SplatMesh | null = null;
  #splatBounds = new Box3(); // in the object's frame
  #levels = false; // whether its splats are arranged in levels of detail
  #disposed = false;

  constructor(about: SceneObject) {
    this.about = about;
    this.group.name = about.name;
    this.place(about.pose);
  }

  /** Put it somewhere else. */
  place({ rotation: [w, x, y, z], translation, scale }: Pose): void {
    this.group.quaternion.set(x, y, z, w);
    this.group.position.set(...translation);
    this.group.scale.setScalar(scale);
    this.group.updateMatrixWorld(true);
  }

  async loadMesh(source: Source, environment: Environment): Promise<void> {
    const path = this.about.files.mesh;
    if (!path) return;
    const bytes = await source.bytes(path);
    const { scene } = await new GLTFLoader().parseAsync(bytes, '').catch(() => {
      throw new Error(`The mesh of ${this.about.label} is damaged.`);
    });
    this.#mesh = scene;
    this.#points = null;
    this.#surface = new Surface(scene);
    this.#surface.lightBy(environment);
    this.group.add(scene);
    if (this.#disposed) this.dispose();
  }

  /** @param arrived called when there is something to see, perhaps not yet all. */
  async loadSplats(source: Source, levels: boolean, arrived: () => void): Promise<void> {
    const path = this.about.files.splats;
    if (!path) return;
    const bytes = await source.bytes(path);
    const sample = levels ? sampledPly(bytes, SAMPLE) : null;
    if (sample && !this.loaded) {
      await this.#showSplats(sample, false);
      arrived();
    }
    await this.#showSplats(bytes, sample !== null);
  }

  async #showSplats(fileBytes: ArrayBuffer, lod: boolean): Promise<void> {
    const what = `The splats of ${this.about.label}`;
    // 32-bit places where memory allows, for a picture that fits the photo to the pixel.
    const splats = new SplatMesh({ fileBytes, fileType: SplatFileType.PLY, lod, extSplats: !lod });
    try {
      // Spark's worker can fail without settling its promise.
      await within(splats.initialized, SPLATS_TIMEOUT_MS, `${what} did not load in time.`);
    } catch (error) {
      splats.dispose();
      throw error instanceof TimeoutError ? error : new Error(`${what} are damaged.`);
    }
    if (this.#splats) this.group.remove(this.#splats);
    this.#splats?.dispose();
    // Spark keeps no list of the splats that it arranges in levels: the sample's bounds stay.
    if (!lod && !this.#mesh) this.#splatBounds = splats.getBoundingBox(true);
    this.#splats = splats;
    this.#levels = lod;
    this.group.add(splats);
    if (this.#disposed) this.dispose();
  }

  /**
   * Show each splat in a colour of its own, red, green, blue and opacity as bytes; null for its file's.
   * Levels of detail mix splats: an object that has them is loaded once more, without.
   */
  async paint(rgba: Uint8Array | null, source: Source): Promise<void> {
    const path = this.about.files.splats;
    if (rgba && this.#levels && path) await this.#showSplats(await source.bytes(path), false);
    const splats = this.#splats;
    if (!splats || (!rgba && !splats.splatRgba)) return;
    if (rgba) {
      const count = rgba.length / 4;
      const colours = splats.splatRgba ?? new RgbaArray();
      colours.ensureCapacity(count).set(rgba);
      colours.count = count;
      colours.needsUpdate = true;
      const first = splats.splatRgba === null;
      splats.splatRgba = colours;
      if (first) splats.updateGenerator();
    } else {
      splats.splatRgba?.dispose();
      splats.splatRgba = null;
      splats.updateGenerator();
    }
    splats.updateVersion();
  }

  /** Places of its mesh's vertices in the object's own frame, three numbers each; none where it has no mesh. */
  get surfacePoints(): Float32Array {
    return (this.#points ??= this.#mesh ? verticesOf(this.#mesh, this.group) : new Float32Array());
  }

  /**
   * Show what the mode asks for; the mesh stands in for splats that are not there, and they for it.
   *
   * @param both the mesh below the splats too.
   */
  show(mode: Mode, both = false): void {
    this.group.visible = !this.hidden;
    const alone = this.#splats === null || this.#surface === null;
    // Spark reads each splat mesh's own flag, three its parents' too.
    if (this.#splats) {
      this.#splats.visible = !this.hidden && (alone || mode === 'splats' || mode === 'both');
    }
    if (mode === 'wireframe') this.#surface?.show('clay');
    else if (mode === 'mesh' || alone || both) this.#surface?.show('own');
    else this.#surface?.show(mode === 'both' ? 'lines' : 'hidden');
  }

  /** Tell the mesh how large it is drawn, before each picture. */
  fitLines(camera: PerspectiveCamera, height: number): void {
    if (!this.#surface) return;
    const distance = camera.position.distanceTo(this.group.position);
    const slope = 2 * Math.tan((camera.fov * Math.PI) / 360); // of the whole picture
    const across = (this.group.scale.x * height) / Math.max(distance * slope, 1e-9); // pixels
    // A sphere of that diameter, in so many triangles.
    this.#surface.edgePixels = (2.7 * across) / Math.sqrt(Math.max(1, this.about.faces));
  }

  get loaded(): boolean {
    return this.#mesh !== null || this.#splats !== null;
  }

  /** Bounds in the scene's frame; empty while nothing is loaded. */
  bounds(): Box3 {
    this.group.updateMatrixWorld(true);
    const points = this.surfacePoints, { matrixWorld } = this.group;
    if (points.length === 0) return this.#splatBounds.clone().applyMatrix4(matrixWorld);
    return boundsOf(points, matrixWorld);
  }

  dispose(): void {
    this.#disposed = true;
    this.#splats?.dispose();
    this.#surface?.dispose();
  }
}

/** Vertices of all meshes below `root`, in the frame of `group`. */
function verticesOf(root: Object3D, group: Group): Float32Array {
  group.updateMatrixWorld(true);
  const inverse = group.matrixWorld.clone().invert();
  const values: number[] = [];
  const point = new Vector3();
  root.traverse((part) => {
    // Lines over a surface are drawn of the surface's own vertices.
    if (!(part instanceof Mesh) || (part.parent instanceof Mesh && part.parent.geometry === part.geometry)) return;
    const places = (part.geometry as BufferGeometry).getAttribute('position');
    const matrix = inverse.clone().multiply(part.matrixWorld);
    for (let k = 0; k < places.count; k++) values.push(...point.fromBufferAttribute(places, k).applyMatrix4(matrix).toArray());
  });
  return Float32Array.from(values);
}

class TimeoutError extends Error {}

async function within<T>(promise: Promise<T>, ms: number, message: string): Promise<T> {
  let timer = 0;
  const late = new Promise<never>((_, reject) => {
    timer = window.setTimeout(() => reject(new TimeoutError(message)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
