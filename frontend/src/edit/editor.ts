import { Box3, Box3Helper, Color, Vector3 } from 'three';

import { ApiError } from '../api/client';
import type { EditState } from '../api/types';
import { h, iconButton } from '../ui/dom';
import { percent } from '../ui/format';
import { icon } from '../ui/icons';
import { problemOf } from '../ui/problem';
import type { LiveView } from '../viewer/liveView';
import type { Pose, SceneObject } from '../viewer/manifest';
import type { ObjectNode } from '../viewer/objects';
import { chosen } from './chosen';
import { changed, countOf, entryOf, nextNumber, withoutEntry, type ObjectEdit } from './document';
import { button, replaced } from './fields';
import { Gizmo, type Tool } from './gizmo';
import { MeasurePanel } from './measurePanel';
import { ObjectRows } from './objectRows';
import { PosePanel } from './posePanel';
import { degreesOf, groundFor, movedAlong, poseOf, reach, turnedTo, upOf, upright } from './posing';
import { Ruler } from './ruler';
import type { Session } from './session';
import { SplatWork } from './splatWork';
import { askWhose } from './whose';

const ACCENT = 0x3d6bff;

/** Puts a scene right: what is done goes into a session, and the picture shows the session's state. */
export class Editor {
  readonly #view: LiveView;
  readonly #session: Session;
  readonly #nodes = new Map<number, ObjectNode>();
  readonly #originals: readonly SceneObject[];
  readonly #up: Vector3;
  readonly #gizmo: Gizmo;
  readonly #frame = new Box3Helper(new Box3(), new Color(ACCENT));
  readonly #ruler: Ruler;
  readonly #rows: ObjectRows;
  readonly #pose: PosePanel;
  readonly #measure: MeasurePanel;
  readonly #splats: SplatWork;
  readonly #undo: HTMLButtonElement;
  readonly #redo: HTMLButtonElement;
  readonly #before: HTMLButtonElement;
  readonly #save: HTMLButtonElement;
  readonly #told = h('p', { class: 'hint', role: 'status' });
  readonly #panel: HTMLElement;
  readonly #onKey = (event: KeyboardEvent) => this.#key(event);
  readonly #onLeave = (event: BeforeUnloadEvent) => {
    if (this.#session.unsaved) event.preventDefault();
  };
  #selected: number | null = null;
  #tool: Tool = 'translate';
  #loading = new Set<number>();
  #disposed = false;

  /** @param close leave the editor. */
  constructor(view: LiveView, panel: HTMLElement, session: Session, close: () => void) {
    this.#view = view;
    this.#session = session;
    this.#panel = panel;
    const { manifest } = view.source;
    this.#originals = manifest.objects;
    this.#up = upOf(manifest);
    for (const node of view.nodes) this.#nodes.set(node.about.index, node);
    this.#gizmo = new Gizmo(view, () => this.#whileDragged(), () => this.#dropped());
    this.#ruler = new Ruler(this.#up, ACCENT);
    this.#frame.visible = false;
    view.stage.scene.add(this.#frame, this.#ruler.line);

    this.#rows = new ObjectRows({
      select: (object) => this.#select(object),
      copy: (object) => this.#copy(object),
      remove: (object, deleted) => this.#remove(object, deleted),
    });
    this.#pose = new PosePanel({
      tool: (tool) => {
        this.#tool = tool;
        this.#attach();
      },
      rename: (name) => this.#rename(name),
      move: (axis, place) => this.#place((pose) => ({ ...pose, translation: replaced(pose.translation, axis, place / this.#scale) })),
      turn: (axis, degrees) => this.#place((pose) => turnedTo(pose, replaced(degreesOf(pose), axis, degrees))),
      resize: (share) => {
        if (share > 0) this.#place((pose, own) => ({ ...pose, scale: (own.scale * share) / 100 }));
      },
      ground: () => this.#ground(),
      upright: () => this.#place((pose) => upright(pose, this.#up)),
      reset: () => this.#edit({ transform: this.#selectedEntry()?.copy_of == null ? null : this.#original(this.#selected)?.pose ?? null }),
    });
    this.#measure = new MeasurePanel({
      pick: () => this.#pickPoints(),
      measure: () => this.#show(),
      setLength: (metres) => this.#setLength(metres),
      resetScale: () => session.put({ ...session.edits, scale: null }),
    });
    this.#splats = new SplatWork({
      view, session,
      selected: () => this.#selected,
      nodeOf: (object) => this.#nodes.get(object),
      say: (text) => this.#say(text),
      show: () => this.#show(),
      opened: () => this.#attach(),
    });

    this.#undo = iconButton(icon('undo'), 'Undo (Ctrl+Z)', () => session.undo());
    this.#redo = iconButton(icon('redo'), 'Redo (Ctrl+Shift+Z)', () => session.redo());
    this.#before = button('Before', () => {
      const on = this.#before.getAttribute('aria-pressed') !== 'true';
      this.#before.setAttribute('aria-pressed', String(on));
      this.#show();
    }, { 'aria-pressed': 'false', title: 'The scene as the run wrote it' });
    this.#save = h('button', { type: 'button', class: 'button primary', onclick: () => void this.#saveAll() }, 'Save');
    panel.append(
      h('section', { class: 'edit-section edit-head' },
        h('div', { class: 'row' },
          h('h2', {}, 'Edit'), h('span', { class: 'spacer' }), this.#undo, this.#redo, this.#before),
        h('div', { class: 'row' },
          this.#save, h('button', { type: 'button', class: 'button', onclick: close }, 'Close')),
        this.#told),
      h('section', { class: 'edit-section' }, h('h2', {}, 'Objects'), this.#rows.element),
      this.#pose.element, this.#measure.element, this.#splats.panel.element);

    view.onPick = (node, place) => this.#picked(node, place);
    session.watch(() => this.#show());
    document.addEventListener('keydown', this.#onKey);
    window.addEventListener('beforeunload', this.#onLeave);
    void view.loaded.then(() => this.#show());
    this.#select(this.#originals[0]?.index ?? null);
  }

  get unsaved(): boolean {
    return this.#session.unsaved;
  }

  /** What the server says of writing the files. */
  follow(state: EditState): void {
    const saved = state.revision === this.#session.revision && !this.#session.unsaved;
    const words: Record<EditState['state'], string> = {
      waiting: 'Saved. The files wait to be written.',
      writing: `Saved. Writing the files, ${percent(state.fraction)}.`,
      written: state.revision ? 'Saved; all files are written.' : '',
      cancelled: 'Saved. The files were not written, as that was stopped: they are those of before.',
      failed: `The files could not be written: ${state.error?.detail ?? 'see the server’s log'}`,
    };
    if (saved) this.#say(words[state.state], 'server');
    this.#panel.dataset.saved = saved ? state.state : 'no';
  }

  dispose(): void {
    this.#disposed = true;
    document.removeEventListener('keydown', this.#onKey);
    window.removeEventListener('beforeunload', this.#onLeave);
    this.#gizmo.dispose();
    this.#splats.dispose();
    this.#frame.dispose();
    this.#ruler.dispose();
  }

  get #scale(): number {
    return this.#session.edits.scale ?? 1;
  }

  get #unit(): string {
    return this.#session.edits.scale !== null || this.#view.source.manifest.units === 'metres' ? 'm' : 'units';
  }

  get #showsBefore(): boolean {
    return this.#before.getAttribute('aria-pressed') === 'true';
  }

  #original(object: number | null): SceneObject | null {
    if (object === null) return null;
    const source = entryOf(this.#session.edits, object).copy_of ?? object;
    return this.#originals.find((o) => o.index === source) ?? null;
  }

  #selectedEntry(): ObjectEdit | null {
    return this.#selected === null ? null : entryOf(this.#session.edits, this.#selected);
  }

  #poseOf(object: number): Pose | null {
    return entryOf(this.#session.edits, object).transform ?? this.#original(object)?.pose ?? null;
  }

  #nameOf(object: number): string {
    return entryOf(this.#session.edits, object).name ?? this.#original(object)?.label ?? '';
  }

  /** Objects of the scene, then copies. */
  #objects(): number[] {
    const copies = this.#session.edits.objects.filter((entry) => entry.copy_of !== null);
    return [...this.#originals.map((o) => o.index), ...copies.map((entry) => entry.object)];
  }

  #select(object: number | null): void {
    this.#selected = object;
    this.#show();
  }

  #edit(facts: Partial<ObjectEdit>): void {
    if (this.#selected !== null) this.#session.put(changed(this.#session.edits, this.#selected, facts));
  }

  #place(change: (pose: Pose, own: Pose) => Pose): void {
    const own = this.#original(this.#selected)?.pose;
    const pose = this.#selected === null ? null : this.#poseOf(this.#selected);
    if (pose && own) this.#edit({ transform: change(pose, own) });
  }

  #rename(text: string): void {
    const name = text.trim().replace(/\s+/g, ' ');
    const own = this.#original(this.#selected)?.label;
    this.#edit({ name: name === '' || name === own ? null : name });
    this.#show();
  }

  #copy(object: number): void {
    const own = this.#original(object), pose = this.#poseOf(object), node = this.#nodes.get(object);
    if (!own || !pose) return;
    const { edits } = this.#session;
    const number = nextNumber(edits, this.#view.source.manifest);
    const { name, splats_removed } = entryOf(edits, object);
    const width = node?.loaded ? node.bounds().getSize(new Vector3()).x : pose.scale;
    const beside = movedAlong(pose, new Vector3(1, 0, 0), 1.1 * width);
    this.#selected = number;
    this.#session.put(changed(edits, number, { copy_of: own.index, name, transform: beside, splats_removed }));
  }

  #remove(object: number, deleted: boolean): void {
    const { edits } = this.#session;
    const left = this.#objects().filter((other) => other !== object && !entryOf(edits, other).deleted);
    if (deleted && left.length === 0) {
      this.#say('One object has to stay.');
      return;
    }
    const isCopy = entryOf(edits, object).copy_of !== null;
    if (isCopy && this.#selected === object) this.#selected = left[0] ?? null;
    this.#session.put(isCopy ? withoutEntry(edits, object) : changed(edits, object, { deleted }));
  }

  #ground(): void {
    const object = this.#selected;
    const node = object === null ? null : this.#nodes.get(object);
    const pose = object === null ? null : this.#poseOf(object);
    if (!node || !pose) return;
    const [bottom] = reach(node.surfacePoints(), pose, this.#up);
    const others = this.#originals.filter((o) => o.index !== object).flatMap((o) => {
      const other = this.#nodes.get(o.index);
      const [low] = other ? reach(other.surfacePoints(), o.pose, this.#up) : [Infinity];
      return Number.isFinite(low) ? [low] : [];
    });
    const own = this.#original(object);
    const first = own ? reach(node.surfacePoints(), own.pose, this.#up)[0] : bottom;
    const levels = this.#view.source.manifest.levels ?? [];
    const ground = groundFor(bottom, levels, others) ?? first;
    if (Number.isFinite(bottom)) this.#place((at) => movedAlong(at, this.#up, ground - bottom));
  }

  #pickPoints(): void {
    this.#ruler.begin();
    this.#measure.what = 'points';
    this.#say('Click two points of objects in the picture.');
  }

  #picked(node: ObjectNode | null, place: Vector3 | null): boolean {
    if (this.#gizmo.busy) return true;
    if (this.#ruler.waiting && place) {
      this.#ruler.take(place);
      if (!this.#ruler.waiting) this.#say('');
      this.#show();
    } else if (node) this.#select(node.about.index);
    return true;
  }

  /** In units of the run. */
  #length(): number | null {
    const node = this.#selected === null ? null : this.#nodes.get(this.#selected) ?? null;
    const pose = this.#selected === null ? null : this.#poseOf(this.#selected);
    return this.#ruler.length(this.#measure.what, node, pose);
  }

  #setLength(metres: number): void {
    const length = this.#length();
    if (length) this.#session.put({ ...this.#session.edits, scale: metres / length });
  }

  #whileDragged(): void {
    if (this.#splats.panel.open) this.#splats.follow();
    else {
      this.#outline();
      this.#fill();
    }
  }

  #dropped(): void {
    const node = this.#selected === null ? null : this.#nodes.get(this.#selected);
    if (this.#splats.panel.open || !node) return;
    const { position, quaternion, scale } = node.group;
    this.#edit({ transform: poseOf(position, quaternion, scale.x) });
  }

  #attach(): void {
    const node = this.#selected === null ? null : this.#nodes.get(this.#selected) ?? null;
    const shown = this.#showsBefore || !node || node.hidden ? null : node;
    const volume = this.#splats.handle(shown);
    this.#gizmo.attach(volume ?? shown?.group ?? null, this.#tool, volume === null);
    this.#view.stage.invalidate();
  }

  /** Bring picture and panels to the session's state. */
  #show(): void {
    if (this.#disposed) return;
    const { edits } = this.#session;
    for (const object of this.#objects()) if (!this.#nodes.has(object)) void this.#load(object);
    for (const [object, node] of this.#nodes) {
      const entry = entryOf(edits, object);
      const own = this.#originals.some((o) => o.index === object);
      const exists = own || entry.copy_of !== null;
      const pose = this.#showsBefore ? node.about.pose : this.#poseOf(object) ?? node.about.pose;
      node.place(pose);
      node.hidden = this.#showsBefore ? !own : !exists || entry.deleted;
      void this.#splats.paint(object, this.#showsBefore ? [] : entry.splats_removed);
    }
    this.#rows.show(this.#objects().map((object) => {
      const entry = entryOf(edits, object);
      const removed = countOf(entry.splats_removed);
      return {
        object, name: this.#nameOf(object), deleted: entry.deleted, changes: chosen({
          copy: entry.copy_of !== null, renamed: entry.name !== null,
          moved: entry.transform !== null && entry.copy_of === null, [`${removed} splats deleted`]: removed > 0,
        }),
      };
    }), this.#selected);
    this.#fill();
    this.#undo.disabled = !this.#session.canUndo;
    this.#redo.disabled = !this.#session.canRedo;
    this.#save.disabled = !this.#session.unsaved;
    if (this.#session.unsaved) {
      this.#panel.dataset.saved = 'no';
      if (this.#told.dataset.from === 'server') this.#say(''); // of what was saved before
    }
    this.#view.changed();
    this.#outline();
    this.#attach();
  }

  async #load(object: number): Promise<void> {
    const source = this.#original(object);
    if (!source || this.#loading.has(object)) return;
    this.#loading.add(object);
    try {
      const node = await this.#view.add({ ...source, index: object });
      this.#nodes.set(object, node);
      this.#view.showAll();
    } catch (error) {
      this.#say(problemOf(error).detail);
    }
    this.#loading.delete(object);
    this.#show();
  }

  /** Numbers of what is chosen, as the picture shows it. */
  #fill(): void {
    const object = this.#selected, own = this.#original(object);
    const node = object === null ? null : this.#nodes.get(object);
    if (object === null || !own) {
      this.#pose.show(null);
    } else {
      const group = node?.group;
      const pose = group ? poseOf(group.position, group.quaternion, group.scale.x) : own.pose;
      this.#pose.show({
        name: this.#nameOf(object), unit: this.#unit, place: pose.translation.map((v) => v * this.#scale),
        degrees: degreesOf(pose), percent: (100 * pose.scale) / own.pose.scale,
      });
    }
    const length = this.#length();
    this.#measure.show(
      length === null ? null : `${Number((length * this.#scale).toPrecision(4))} ${this.#unit}`, this.#session.edits.scale,
    );
    this.#splats.fill(own, this.#selectedEntry());
  }

  /** A frame around what is chosen, and the line that is measured. */
  #outline(): void {
    const node = this.#selected === null ? null : this.#nodes.get(this.#selected);
    this.#frame.visible = !!node?.loaded && !node.hidden && !this.#showsBefore;
    if (node && this.#frame.visible) this.#frame.box.copy(node.bounds());
    this.#ruler.show(this.#measure.what);
    this.#view.stage.invalidate();
  }

  async #saveAll(): Promise<void> {
    this.#save.disabled = true;
    try {
      const theirs = await this.#session.save();
      if (theirs) {
        const keep = await askWhose();
        if (keep !== null) this.#session.rebase(theirs, { keep });
        if (keep) await this.#session.save();
      }
    } catch (error) {
      this.#say(error instanceof ApiError ? error.problem.detail : problemOf(error).detail);
    }
    this.#show();
  }

  #say(text: string, from: 'server' | 'here' = 'here'): void {
    this.#told.textContent = text;
    this.#told.dataset.from = from;
  }

  #key(event: KeyboardEvent): void {
    if (!(event.ctrlKey || event.metaKey) || event.altKey) return;
    const field = event.target instanceof HTMLInputElement && event.target.type !== 'number';
    const key = event.key.toLowerCase();
    if (field || (key !== 'z' && key !== 'y')) return;
    event.preventDefault();
    if (key === 'y' || event.shiftKey) this.#session.redo();
    else this.#session.undo();
  }
}
