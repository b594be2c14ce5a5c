import {
  Mesh,
  MeshBasicMaterial,
  MeshStandardMaterial,
  type Material,
  type Object3D,
} from 'three';

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
const DARK_LINES = new MeshBasicMaterial({
  color: 0x20242e, wireframe: true, transparent: true, opacity: 0.4, depthWrite: false,
});
const LINES_OVER_SPLATS = new MeshBasicMaterial({
  color: 0x3d6bff, wireframe: true, transparent: true, opacity: 0.35, depthWrite: false,
});

/** An object's mesh, in the looks that the viewer's modes ask for. */
export class Surface {
  readonly #root: Object3D;
  readonly #parts: { mesh: Mesh; own: Material | Material[]; lines: Mesh }[] = [];

  constructor(root: Object3D) {
    this.#root = root;
    root.traverse((node) => {
      if (!(node instanceof Mesh)) return;
      this.#parts.push({ mesh: node, own: node.material, lines: new Mesh(node.geometry) });
    });
    for (const { mesh, lines } of this.#parts) mesh.add(lines);
  }

  show(look: SurfaceLook): void {
    this.#root.visible = look !== 'hidden';
    for (const { mesh, own, lines } of this.#parts) {
      mesh.material = look === 'clay' ? CLAY : look === 'lines' ? DEPTH_ONLY : own;
      lines.material = look === 'lines' ? LINES_OVER_SPLATS : DARK_LINES;
      lines.visible = look === 'lines' || look === 'clay';
      // After the splats, which are one transparent object: depth first, then the lines.
      mesh.renderOrder = look === 'lines' ? 1 : 0;
      lines.renderOrder = 2;
    }
  }

  dispose(): void {
    for (const { mesh, own } of this.#parts) {
      mesh.geometry.dispose();
      for (const material of Array.isArray(own) ? own : [own]) {
        if (material instanceof MeshStandardMaterial) material.map?.dispose();
        material.dispose();
      }
    }
  }
}
