import { api, ApiError } from '../api/client';
import type { SceneEdits } from '../api/types';
import type { EditsDocument } from './document';
import { History } from './document';

/** The edits of one job's scene: what they are now, what they were, and what the server has. */
export class Session {
  readonly job: string;
  readonly #history: History<EditsDocument>;
  readonly #listeners = new Set<() => void>();
  #saved: EditsDocument;
  #revision: number;

  constructor(job: string, loaded: SceneEdits) {
    this.job = job;
    this.#saved = loaded.edits;
    this.#revision = loaded.revision;
    this.#history = new History(loaded.edits);
  }

  get edits(): EditsDocument {
    return this.#history.value;
  }

  get revision(): number {
    return this.#revision;
  }

  get unsaved(): boolean {
    return JSON.stringify(this.edits) !== JSON.stringify(this.#saved);
  }

  get canUndo(): boolean {
    return this.#history.canUndo;
  }

  get canRedo(): boolean {
    return this.#history.canRedo;
  }

  /** Call back after every change. */
  watch(listener: () => void): void {
    this.#listeners.add(listener);
  }

  put(edits: EditsDocument): void {
    if (JSON.stringify(edits) === JSON.stringify(this.edits)) return;
    this.#history.put(edits);
    this.#tell();
  }

  undo(): void {
    this.#history.undo();
    this.#tell();
  }

  redo(): void {
    this.#history.redo();
    this.#tell();
  }

  /**
   * Send the edits; the server then writes the scene's files.
   *
   * Resolves with the edits that somebody else saved in between, in whose place nothing was put, or
   * with null. Rejects with ApiError.
   */
  async save(): Promise<SceneEdits | null> {
    const sent = this.edits;
    try {
      const { revision } = await api.putEdits(this.job, sent, this.#revision);
      this.#revision = revision;
      this.#saved = sent;
    } catch (error) {
      if (error instanceof ApiError && error.problem.status === 412) return api.edits(this.job);
      throw error;
    }
    this.#tell();
    return null;
  }

  /** Go on from what somebody else saved: with their edits, or with these, which replace them. */
  rebase(theirs: SceneEdits, { keep }: { keep: boolean }): void {
    this.#revision = theirs.revision;
    this.#saved = theirs.edits;
    if (keep) this.#tell();
    else this.put(theirs.edits);
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }
}
