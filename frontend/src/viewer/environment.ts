import { MeshStandardMaterial, PMREMGenerator, type Texture, type WebGLRenderer } from 'three';
import { RoomEnvironment } from 'three/addons/environments/RoomEnvironment.js';

/** How bright the room's reflections are beside the stage's own lamps. */
const BRIGHTNESS = 0.7;

/** Whether a material shows its surroundings: metal, or a map of what is rough and what is not. */
export function reflects(material: unknown): material is MeshStandardMaterial {
  return (
    material instanceof MeshStandardMaterial &&
    (material.metalness > 0.01 || material.metalnessMap !== null || material.roughnessMap !== null)
  );
}

/**
 * Light from all sides of a plain room, for materials that reflect: metal is black without it. The
 * room is drawn here when the first of them arrives; nothing is loaded for it.
 */
export class Environment {
  readonly #renderer: WebGLRenderer;
  #light: Texture | null = null;

  constructor(renderer: WebGLRenderer) {
    this.#renderer = renderer;
  }

  light(material: unknown): void {
    if (!reflects(material)) return;
    material.envMap = this.#light ??= this.#texture();
    material.envMapIntensity = BRIGHTNESS;
    material.needsUpdate = true;
  }

  dispose(): void {
    this.#light?.dispose();
    this.#light = null;
  }

  #texture(): Texture {
    const generator = new PMREMGenerator(this.#renderer);
    const room = new RoomEnvironment();
    const { texture } = generator.fromScene(room, 0.04);
    room.dispose();
    generator.dispose();
    return texture;
  }
}
