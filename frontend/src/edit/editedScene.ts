import type { Manifest, Pose, SceneObject } from '../viewer/manifest';
import { entryOf, type ObjectEdit } from './document';
import type { Session } from './session';

/** The scene as the session's edits make it, and which of its objects is chosen. */
export class EditedScene {
  readonly session: Session;
  readonly manifest: Manifest;
  selected: number | null;

  constructor(session: Session, manifest: Manifest) {
    this.session = session;
    this.manifest = manifest;
    this.selected = manifest.objects[0]?.index ?? null;
  }

  /** Metres in one unit of the run, where that is known. */
  get scale(): number {
    return this.session.edits.scale ?? 1;
  }

  get unit(): string {
    return this.session.edits.scale !== null || this.manifest.units === 'metres' ? 'm' : 'units';
  }

  /** Objects of the run, then copies. */
  get objects(): number[] {
    const copies = this.session.edits.objects.filter((entry) => entry.copy_of !== null);
    return [...this.manifest.objects.map((o) => o.index), ...copies.map((entry) => entry.object)];
  }

  get selectedEntry(): ObjectEdit | null {
    return this.selected === null ? null : this.entry(this.selected);
  }

  entry(object: number): ObjectEdit {
    return entryOf(this.session.edits, object);
  }

  isOriginal(object: number): boolean {
    return this.manifest.objects.some((o) => o.index === object);
  }

  /** The object of the run, or the one that a copy repeats. */
  original(object: number | null): SceneObject | null {
    if (object === null) return null;
    const source = this.entry(object).copy_of ?? object;
    return this.manifest.objects.find((o) => o.index === source) ?? null;
  }

  pose(object: number | null): Pose | null {
    return object === null ? null : this.entry(object).transform ?? this.original(object)?.pose ?? null;
  }

  name(object: number): string {
    return this.entry(object).name ?? this.original(object)?.label ?? '';
  }
}
