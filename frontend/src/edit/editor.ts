import type { Vector3 } from 'three';

import type { EditState } from '../api/types';
import { h } from '../ui/dom';
import { problemOf } from '../ui/problem';
import type { LiveView } from '../viewer/liveView';
import type { ObjectNode } from '../viewer/objects';
import { Changes } from './changes';
import { chosen } from './chosen';
import { countOf } from './document';
import { EditedPicture } from './editedPicture';
import { EditedScene } from './editedScene';
import { replaced } from './fields';
import { Gizmo, type Tool } from './gizmo';
import { MeasurePanel } from './measurePanel';
import { ObjectRows, type Row } from './objectRows';
import { PosePanel } from './posePanel';
import { degreesOf, poseOf, turnedTo, upOf, upright } from './posing';
import { Ruler } from './ruler';
import { Saving } from './saving';
import type { Session } from './session';
import { SplatWork } from './splatWork';

const ACCENT = 0x3d6bff;

/** Puts a scene right: what is done goes into a session, and the picture shows the session's state. */
export class Editor {
  readonly #view: LiveView;
  readonly #session: Session;
  readonly #scene: EditedScene;
  readonly #picture: EditedPicture;
  readonly #gizmo: Gizmo;
  readonly #ruler: Ruler;
  readonly #saving: Saving;
  readonly #rows: ObjectRows;
  readonly #pose: PosePanel;
  readonly #measure: MeasurePanel;
  readonly #splats: SplatWork;
  readonly #changes: Changes;
  readonly #panel: HTMLElement;
  #tool: Tool = 'translate';
  #disposed = false;

  /** @param close leave the editor. */
  constructor(view: LiveView, panel: HTMLElement, session: Session, close: () => void) {
    this.#view = view;
    this.#session = session;
    this.#panel = panel;
    const up = upOf(view.source.manifest);
    this.#scene = new EditedScene(session, view.source.manifest);
    this.#picture = new EditedPicture(view, this.#scene, ACCENT);
    this.#changes = new Changes(this.#scene, (object) => this.#picture.node(object), up);
    this.#gizmo = new Gizmo(view, () => this.#whileDragged(), () => this.#dropped());
    this.#ruler = new Ruler(up, ACCENT);
    view.stage.scene.add(this.#ruler.line);
    this.#saving = new Saving(session, () => this.#show(), close);
    const changes = this.#changes;
    this.#rows = new ObjectRows({
      select: (object) => this.#select(object),
      copy: (object) => changes.copy(object),
      remove: (object, deleted) => {
        if (!changes.remove(object, deleted)) this.#saving.say('One object has to stay.');
      },
    });
    this.#pose = new PosePanel({
      tool: (tool) => {
        this.#tool = tool;
        this.#attach();
      },
      rename: (name) => {
        changes.rename(name);
        this.#show();
      },
      move: (axis, place) => changes.place((pose) => ({ ...pose, translation: replaced(pose.translation, axis, place / this.#scene.scale) })),
      turn: (axis, degrees) => changes.place((pose) => turnedTo(pose, replaced(degreesOf(pose), axis, degrees))),
      resize: (share) => {
        if (share > 0) changes.place((pose, own) => ({ ...pose, scale: (own.scale * share) / 100 }));
      },
      ground: () => changes.ground(),
      upright: () => changes.place((pose) => upright(pose, up)),
      reset: () => changes.resetPose(),
    });
    this.#measure = new MeasurePanel({
      pick: () => this.#pickPoints(),
      measure: () => this.#show(),
      setLength: (metres) => this.#setLength(metres),
      resetScale: () => session.put({ ...session.edits, scale: null }),
    });
    this.#splats = new SplatWork({
      view, session,
      selected: () => this.#scene.selected,
      nodeOf: (object) => this.#picture.node(object) ?? undefined,
      say: (text) => this.#saving.say(text),
      show: () => this.#show(),
      opened: () => this.#attach(),
    });
    panel.append(
      this.#saving.element,
      h('section', { class: 'edit-section' }, h('h2', {}, 'Objects'), this.#rows.element),
      this.#pose.element, this.#measure.element, this.#splats.panel.element);
    view.onPick = (node, place) => this.#picked(node, place);
    session.watch(() => this.#show());
    void view.loaded.then(() => this.#show());
    this.#show();
  }

  get unsaved(): boolean {
    return this.#session.unsaved;
  }

  /** What the server says of writing the files. */
  follow(state: EditState): void {
    this.#saving.follow(state);
    this.#panel.dataset.saved = this.#saving.state;
  }

  dispose(): void {
    this.#disposed = true;
    this.#saving.dispose();
    this.#gizmo.dispose();
    this.#splats.dispose();
    this.#picture.dispose();
    this.#ruler.dispose();
  }

  #select(object: number | null): void {
    this.#scene.selected = object;
    this.#show();
  }

  #pickPoints(): void {
    this.#ruler.begin();
    this.#measure.what = 'points';
    this.#saving.say('Click two points in the picture.');
  }

  #picked(node: ObjectNode | null, place: Vector3 | null): boolean {
    if (this.#gizmo.busy) return true;
    if (this.#ruler.waiting && place) {
      this.#ruler.take(place);
      if (!this.#ruler.waiting) this.#saving.say('');
      this.#show();
    } else if (node) this.#select(node.about.index);
    return true;
  }

  /** In units of the run. */
  #length(): number | null {
    const { selected } = this.#scene;
    return this.#ruler.length(this.#measure.what, this.#picture.node(selected), this.#scene.pose(selected));
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
    const node = this.#picture.node(this.#scene.selected);
    if (this.#splats.panel.open || !node) return;
    const { position, quaternion, scale } = node.group;
    this.#changes.edit({ transform: poseOf(position, quaternion, scale.x) });
  }

  #attach(): void {
    const node = this.#picture.node(this.#scene.selected);
    const visibleNode = this.#saving.showsBefore || !node || node.hidden ? null : node;
    const volume = this.#splats.handle(visibleNode);
    this.#gizmo.attach(volume ?? visibleNode?.group ?? null, this.#tool, volume === null);
    this.#view.stage.invalidate();
  }

  /** Bring picture and panels to the session's state. */
  #show(): void {
    if (this.#disposed) return;
    const before = this.#saving.showsBefore;
    this.#picture.load().then((some) => some && this.#show(), (error: unknown) => this.#saving.say(problemOf(error).detail));
    this.#picture.show(before);
    for (const object of this.#scene.objects) {
      void this.#splats.paint(object, before ? [] : this.#scene.entry(object).splats_removed);
    }
    this.#rows.show(this.#scene.objects.map((object) => this.#row(object)), this.#scene.selected);
    this.#fill();
    this.#saving.show();
    if (this.#session.unsaved) this.#panel.dataset.saved = 'no';
    this.#view.changed();
    this.#outline();
    this.#attach();
  }

  #row(object: number): Row {
    const entry = this.#scene.entry(object);
    const removed = countOf(entry.splats_removed);
    return {
      object, name: this.#scene.name(object), deleted: entry.deleted, changes: chosen({
        copy: entry.copy_of !== null, renamed: entry.name !== null,
        moved: entry.transform !== null && entry.copy_of === null, [`${removed} splats deleted`]: removed > 0,
      }),
    };
  }

  /** Numbers of what is chosen, as the picture shows it. */
  #fill(): void {
    const { selected, scale, unit } = this.#scene;
    const own = this.#scene.original(selected);
    if (selected === null || !own) {
      this.#pose.show(null);
    } else {
      const group = this.#picture.node(selected)?.group;
      const pose = group ? poseOf(group.position, group.quaternion, group.scale.x) : own.pose;
      this.#pose.show({
        name: this.#scene.name(selected), unit, place: pose.translation.map((v) => v * scale),
        degrees: degreesOf(pose), percent: (100 * pose.scale) / own.pose.scale,
      });
    }
    const length = this.#length();
    this.#measure.show(length === null ? null : `${Number((length * scale).toPrecision(4))} ${unit}`, this.#session.edits.scale);
    this.#splats.fill(own, this.#scene.selectedEntry);
  }

  /** A frame around what is chosen, and the line that is measured. */
  #outline(): void {
    this.#picture.outline(this.#scene.selected, !this.#saving.showsBefore);
    this.#ruler.show(this.#measure.what);
    this.#view.stage.invalidate();
  }
}
