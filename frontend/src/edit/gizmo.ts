import type { Object3D } from 'three';
import { TransformControls } from 'three/addons/controls/TransformControls.js';

import type { LiveView } from '../viewer/liveView';

export type Tool = 'translate' | 'rotate' | 'scale';

/** Arrows, rings and handles that drag an object in the picture; sizes change alike on all axes. */
export class Gizmo {
  readonly #controls: TransformControls;
  readonly #view: LiveView;
  #uniform = true;
  #before = 1;

  /** @param onDrag while it is dragged. @param onDrop when it is let go. */
  constructor(view: LiveView, onDrag: () => void, onDrop: () => void) {
    this.#view = view;
    this.#controls = new TransformControls(view.stage.camera, view.stage.canvas);
    this.#controls.setSize(0.8);
    view.stage.scene.add(this.#controls.getHelper());
    this.#controls.addEventListener('change', () => view.stage.invalidate());
    this.#controls.addEventListener('objectChange', () => {
      if (this.#uniform) this.#makeUniform();
      onDrag();
    });
    this.#controls.addEventListener('dragging-changed', (event) => {
      const on = event.value === true;
      if (on) this.#before = this.#controls.object?.scale.x ?? 1;
      view.dragging(on);
      if (!on) onDrop();
    });
  }

  /** Whether a handle is under the pointer or in its hand. */
  get busy(): boolean {
    return this.#controls.dragging || this.#controls.axis !== null;
  }

  /** @param uniform whether its size is one number. */
  attach(object: Object3D | null, tool: Tool, uniform = true): void {
    this.#uniform = uniform;
    this.#controls.setMode(tool);
    this.#controls.setSpace(tool === 'scale' || !uniform ? 'local' : 'world');
    if (object) this.#controls.attach(object);
    else this.#controls.detach();
    this.#view.stage.invalidate();
  }

  dispose(): void {
    this.#controls.detach();
    this.#view.stage.scene.remove(this.#controls.getHelper());
    this.#controls.dispose();
  }

  /** The axis that was dragged says how much. */
  #makeUniform(): void {
    const scale = this.#controls.object?.scale;
    if (!scale || this.#controls.mode !== 'scale') return;
    const all = [scale.x, scale.y, scale.z];
    const most = all.reduce((a, b) =>
      (Math.abs(Math.log(Math.abs(b) / this.#before)) > Math.abs(Math.log(Math.abs(a) / this.#before)) ? b : a));
    scale.setScalar(Math.max(Math.abs(most), 1e-6));
  }
}
