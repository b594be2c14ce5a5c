import {
  Mesh,
  MeshBasicMaterial,
  MeshStandardMaterial,
  type Material,
  type Object3D,
} from 'three';

import type { Environment } from './environment';

export type SurfaceLook = 'hidden' | 'own' | 'lines' | 'clay';

/** Grey surface under the lines of a wireframe: what lies behind stays hidden. */
const CLAY = new MeshStandardMaterial({
  color: 0xd3d6dc, roughness: 0.85, metalness: 0, flatShading: true,
  polygonOffset: true, polygonOffsetFactor: 1, polygonOffsetUnits: 1,
});
/** Hides lines behind the surface, and shows nothing itself. */
const DEPTH_ONLY = new MeshBasicMaterial({
  colorWrite: false, polygonOffset: true, polygonOffsetFactor: 1, polygonOffsetUnits: 1,
});
const ON_CLAY = 0x20242e;
const OVER_SPLATS = 0x3d6bff;

/** An object's mesh, in the looks that the viewer's modes ask for. */
export class Surface {
  readonly #root: Object3D;
  readonly #parts: { mesh: Mesh; own: Material | Material[]; lines: Mesh }[] = [];
  readonly #ink = new MeshBasicMaterial({ wireframe: true, transparent: true, depthWrite: false });

  #overSplats = false;

  constructor(root: Object3D) {
    this.#root = root;
    root.traverse((node) => {
      if (!(node instanceof Mesh)) return;
      this.#parts.push({ mesh: node, own: node.material, lines: new Mesh(node.geometry, this.#ink) });
    });
    for (const { mesh, lines } of this.#parts) mesh.add(lines);
  }

  /** Let those of its own materials that reflect show the room around. */
  lightBy(environment: Environment): void {
    for (const { own } of this.#parts) {
      for (const material of Array.isArray(own) ? own : [own]) environment.light(material);
    }
  }

  show(look: SurfaceLook): void {
    this.#overSplats = look === 'lines';
    this.#root.visible = look !== 'hidden';
    this.#ink.color.set(look === 'lines' ? OVER_SPLATS : ON_CLAY);
    for (const { mesh, own, lines } of this.#parts) {
      mesh.material = look === 'clay' ? CLAY : look === 'lines' ? DEPTH_ONLY : own;
      lines.visible = look === 'lines' || look === 'clay';
      // After the splats, which are one transparent object: depth first, then the lines.
      mesh.renderOrder = look === 'lines' ? 1 : 0;
      lines.renderOrder = 2;
    }
  }

  /**
   * Draw lines so faint that edges of so many pixels do not add up to one dark patch; over splats
   * fainter still, since those are what is looked at.
   */
  set edgePixels(pixels: number) {
    this.#ink.opacity = this.#overSplats
      ? Math.min(0.35, Math.max(0.015, pixels / 60))
      : Math.min(0.6, Math.max(0.06, pixels / 16));
  }

  dispose(): void {
    this.#ink.dispose();
    for (const { mesh, own } of this.#parts) {
      mesh.geometry.dispose();
      for (const material of Array.isArray(own) ? own : [own]) {
        if (material instanceof MeshStandardMaterial) {
          for (const map of [material.map, material.normalMap]) map?.dispose();
          for (const map of [material.metalnessMap, material.roughnessMap]) map?.dispose();
        }
        material.dispose();
      }
    }
  }
}
