import type { Object3D } from 'three';

import { problemOf } from '../ui/problem';
import type { LiveView } from '../viewer/liveView';
import type { SceneObject } from '../viewer/manifest';
import type { ObjectNode } from '../viewer/objects';
import { Cleaning } from './cleaning';
import { changed, countOf, entryOf, maskOf, runsOf, type ObjectEdit, type Run } from './document';
import type { Session } from './session';
import { SplatPanel } from './splatPanel';
import { fainterThan, floaters, inside } from './splats';
import { VolumeShape } from './volume';

export interface Surroundings {
  view: LiveView;
  session: Session;
  selected(): number | null;
  nodeOf(object: number): ObjectNode | undefined;
  say(text: string): void;
  /** Bring picture and panels to the state. */
  show(): void;
  /** The panel was opened or closed. */
  opened(): void;
}

/** Selecting, deleting and restoring splats of the chosen object. */
export class SplatWork {
  readonly panel: SplatPanel;
  readonly #around: Surroundings;
  readonly #volume = new VolumeShape();
  readonly #cleanings = new Map<number, Promise<Cleaning>>();

  constructor(around: Surroundings) {
    this.#around = around;
    const { session } = around;
    this.panel = new SplatPanel({
      open: () => around.opened(),
      volume: (volume) => {
        this.#volume.volume = volume;
        around.view.stage.invalidate();
      },
      selectInside: () => this.#mark((c) => inside(c.splats, this.#volume.volume)),
      selectFaint: (opacity) => this.#mark((c) => fainterThan(c.splats, opacity)),
      selectFloaters: () => this.#mark((c, removal) => floaters(c.splats, removal)),
      selectNone: () => this.#mark((c) => new Uint8Array(c.splats.count)),
      remove: () => void this.#change((removal, marked) => removal | marked),
      restore: () => void this.#change((removal, marked) => removal & (1 - marked)),
      restoreAll: () => {
        const object = around.selected();
        if (object !== null) session.put(changed(session.edits, object, { splats_removed: [] }));
      },
    });
    this.#volume.volume = { kind: 'sphere', centre: [0, 0, 0], half: [0.2, 0.2, 0.2] };
    this.panel.volume = this.#volume.volume;
  }

  /** Put the box or sphere into an object, for handles to drag; nowhere while it is not in use. */
  handle(node: ObjectNode | null): Object3D | null {
    if (!node || !this.panel.open) {
      this.#volume.group.removeFromParent();
      return null;
    }
    node.group.add(this.#volume.group);
    return this.#volume.group;
  }

  /** The box or sphere was dragged. */
  follow(): void {
    this.panel.volume = this.#volume.volume;
  }

  /** Show an object's splats as they are, with what is selected. */
  async paint(object: number, removed: readonly Run[]): Promise<void> {
    if (!removed.length && !this.#cleanings.has(object)) return;
    try {
      const cleaning = await this.#cleaning(object);
      await cleaning?.show(removed);
      void this.#around.view.stage.refresh();
    } catch (error) {
      this.#around.say(problemOf(error).detail);
    }
  }

  /** Numbers of the chosen object. */
  fill(own: SceneObject | null, entry: ObjectEdit | null): void {
    this.panel.element.hidden = !own?.files.splats;
    const removed = entry ? countOf(entry.splats_removed) : 0;
    this.panel.show(0, removed, own?.gaussians ?? 0);
    const object = entry?.object ?? null;
    if (object === null) return;
    void this.#cleanings.get(object)?.then((cleaning) => {
      if (object === this.#around.selected()) this.panel.show(cleaning.count, removed, cleaning.splats.count);
    }).catch(() => {}); // told where it was asked for
  }

  dispose(): void {
    this.#volume.dispose();
  }

  #cleaning(object: number): Promise<Cleaning> | null {
    const node = this.#around.nodeOf(object);
    if (!node) return null;
    const cached = this.#cleanings.get(object);
    if (cached) return cached;
    const newCleaning = Cleaning.of(node, this.#around.view.source);
    this.#cleanings.set(object, newCleaning);
    return newCleaning;
  }

  #removal(object: number, cleaning: Cleaning): Uint8Array {
    return maskOf(entryOf(this.#around.session.edits, object).splats_removed, cleaning.splats.count);
  }

  #mark(choose: (cleaning: Cleaning, removal: Uint8Array) => Uint8Array): void {
    const object = this.#around.selected();
    const newCleaning = object === null ? null : this.#cleaning(object);
    if (object === null || !newCleaning) return;
    newCleaning.then((cleaning) => {
      cleaning.selected = choose(cleaning, this.#removal(object, cleaning));
      this.#around.show();
    }).catch((error: unknown) => this.#around.say(problemOf(error).detail));
  }

  async #change(change: (removal: number, marked: number) => number): Promise<void> {
    const object = this.#around.selected();
    const cleaning = object === null ? null : await this.#cleaning(object);
    if (object === null || !cleaning) return;
    const next = this.#removal(object, cleaning).map((value, k) => change(value, cleaning.selected[k] ?? 0));
    if (next.every((value) => value === 1)) {
      this.#around.say('An object keeps one of its splats at least. Delete the object instead.');
      return;
    }
    cleaning.selected = new Uint8Array(cleaning.splats.count);
    const { session } = this.#around;
    session.put(changed(session.edits, object, { splats_removed: runsOf(next) }));
    this.#around.show();
  }
}
