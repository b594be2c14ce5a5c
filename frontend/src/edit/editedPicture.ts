import { Box3, Box3Helper, Color } from 'three';

import type { LiveView } from '../viewer/liveView';
import type { ObjectNode } from '../viewer/objects';
import type { EditedScene } from './editedScene';

/** The viewer's objects, brought to the state of the edits; a frame marks the chosen one. */
export class EditedPicture {
  readonly #view: LiveView;
  readonly #scene: EditedScene;
  readonly #nodes = new Map<number, ObjectNode>();
  readonly #loading = new Set<number>();
  readonly #frame: Box3Helper;

  constructor(view: LiveView, scene: EditedScene, colour: number) {
    this.#view = view;
    this.#scene = scene;
    this.#frame = new Box3Helper(new Box3(), new Color(colour));
    this.#frame.visible = false;
    view.stage.scene.add(this.#frame);
    for (const node of view.nodes) this.#nodes.set(node.about.index, node);
  }

  node(object: number | null): ObjectNode | null {
    return object === null ? null : this.#nodes.get(object) ?? null;
  }

  /** Place, hide and show every object: as the edits have it, or as the run wrote it. */
  show(asBefore: boolean): void {
    for (const [object, node] of this.#nodes) {
      const entry = this.#scene.entry(object), own = this.#scene.isOriginal(object);
      node.place(asBefore ? node.about.pose : this.#scene.pose(object) ?? node.about.pose);
      node.hidden = asBefore ? !own : entry.deleted || !(own || entry.copy_of !== null);
    }
  }

  /** Load copies that are not there yet; rejects where one cannot be. Resolves with whether any was. */
  async load(): Promise<boolean> {
    const absent = this.#scene.objects.filter((o) => !this.#nodes.has(o) && !this.#loading.has(o));
    await Promise.all(absent.map(async (object) => {
      const source = this.#scene.original(object);
      if (!source) return;
      this.#loading.add(object);
      try {
        this.#nodes.set(object, await this.#view.add({ ...source, index: object }));
        this.#view.showAll();
      } finally {
        this.#loading.delete(object);
      }
    }));
    return absent.length > 0;
  }

  outline(object: number | null, visible: boolean): void {
    const node = this.node(object);
    this.#frame.visible = !!node?.loaded && !node.hidden && visible;
    if (node && this.#frame.visible) this.#frame.box.copy(node.bounds());
  }

  dispose(): void {
    this.#frame.dispose();
  }
}
