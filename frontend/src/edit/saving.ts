import { api, ApiError } from '../api/client';
import type { EditState } from '../api/types';
import { h, iconButton } from '../ui/dom';
import { duration, percent } from '../ui/format';
import { icon } from '../ui/icons';
import { problemOf } from '../ui/problem';
import { button } from './fields';
import type { Session } from './session';
import { askWhose } from './whose';

/** Undo, redo, save, the scene before its edits, and what becomes of the files. */
export class Saving {
  readonly element: HTMLElement;
  readonly #session: Session;
  readonly #onChange: () => void;
  readonly #undo: HTMLButtonElement;
  readonly #redo: HTMLButtonElement;
  readonly #before: HTMLButtonElement;
  readonly #save: HTMLButtonElement;
  readonly #stop: HTMLButtonElement;
  readonly #status = h('p', { class: 'hint', role: 'status' });
  readonly #onKey = (event: KeyboardEvent) => this.#key(event);
  readonly #onLeave = (event: BeforeUnloadEvent) => {
    if (this.#session.unsaved) event.preventDefault();
  };
  #server: EditState | null = null;

  /** @param onChange what is shown has changed. @param close leave the editor. */
  constructor(session: Session, onChange: () => void, close: () => void) {
    this.#session = session;
    this.#onChange = onChange;
    this.#undo = iconButton(icon('undo'), 'Undo (Ctrl+Z)', () => session.undo());
    this.#redo = iconButton(icon('redo'), 'Redo (Ctrl+Shift+Z)', () => session.redo());
    this.#before = button('Before', () => {
      this.#before.setAttribute('aria-pressed', String(!this.showsBefore));
      onChange();
    }, { 'aria-pressed': 'false', title: 'The scene as the run wrote it' });
    this.#save = h('button', { type: 'button', class: 'button primary', onclick: () => void this.#saveAll() }, 'Save');
    this.#stop = h('button', {
      type: 'button', class: 'button', hidden: true, onclick: () => void this.#stopWriting(),
    }, 'Stop writing');
    this.element = h('section', { class: 'edit-section edit-head' },
      h('div', { class: 'row' },
        h('h2', {}, 'Edit'), h('span', { class: 'spacer' }), this.#undo, this.#redo, this.#before),
      h('div', { class: 'row' },
        this.#save, this.#stop, h('button', { type: 'button', class: 'button', onclick: close }, 'Close')),
      this.#status);
    document.addEventListener('keydown', this.#onKey);
    window.addEventListener('beforeunload', this.#onLeave);
  }

  get showsBefore(): boolean {
    return this.#before.getAttribute('aria-pressed') === 'true';
  }

  /** Whether the files are those of what is shown: "no", or how far the server is. */
  get state(): EditState['state'] | 'no' {
    const newest = this.#server?.revision === this.#session.revision && !this.#session.unsaved;
    return newest && this.#server ? this.#server.state : 'no';
  }

  /** What the server says of writing the files. */
  follow(server: EditState): void {
    this.#server = server;
    this.#stop.hidden = server.state !== 'waiting' && server.state !== 'writing';
    const time = server.eta_seconds === null ? '' : `, about ${duration(server.eta_seconds)} left`;
    const words: Record<EditState['state'], string> = {
      waiting: `Saved. The files wait to be written${time}.`,
      writing: `Saved. Writing the files, ${percent(server.fraction)}${time}.`,
      written: server.revision ? 'Saved; all files are written.' : '',
      failed: `The files could not be written: ${server.error?.detail ?? 'see the server’s log'}`,
      cancelled: 'Saved. Writing the files was stopped: they are those of before, until you save again.',
    };
    if (this.state !== 'no') this.say(words[server.state], 'server');
    this.show();
  }

  show(): void {
    const session = this.#session;
    this.#undo.disabled = !session.canUndo;
    this.#redo.disabled = !session.canRedo;
    // What was stopped or failed may be tried again.
    this.#save.disabled = !session.unsaved && this.state !== 'cancelled' && this.state !== 'failed';
    if (session.unsaved && this.#status.dataset.from === 'server') this.say(''); // of what was saved before
  }

  say(text: string, from: 'server' | 'here' = 'here'): void {
    this.#status.textContent = text;
    this.#status.dataset.from = from;
  }

  dispose(): void {
    document.removeEventListener('keydown', this.#onKey);
    window.removeEventListener('beforeunload', this.#onLeave);
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
      this.say(error instanceof ApiError ? error.problem.detail : problemOf(error).detail);
    }
    this.#onChange();
  }

  async #stopWriting(): Promise<void> {
    try {
      await api.cancel(this.#session.job);
    } catch (error) {
      this.say(problemOf(error).detail);
    }
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
