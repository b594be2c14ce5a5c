import { h } from '../ui/dom';
import { count, plural } from '../ui/format';
import { AxesField, button, Choice, NumberField } from './fields';
import type { Volume } from './splats';

export interface SplatActions {
  /** It is in use from now on, or not any more. */
  open(): void;
  volume(volume: Volume): void;
  selectInside(): void;
  selectFaint(opacity: number): void;
  selectFloaters(): void;
  selectNone(): void;
  remove(): void;
  restore(): void;
  restoreAll(): void;
}

/** Splats of the chosen object: select some, take them away, bring them back. */
export class SplatPanel {
  readonly element: HTMLElement;
  readonly #fold: HTMLDetailsElement;
  readonly #kind: Choice<Volume['kind']>;
  readonly #centre: AxesField;
  readonly #half: AxesField;
  readonly #status = h('p', { class: 'hint', role: 'status' });
  readonly #remove: HTMLButtonElement;
  readonly #restore: HTMLButtonElement;
  readonly #all: HTMLButtonElement;

  constructor(actions: SplatActions) {
    const changed = () => actions.volume(this.volume);
    this.#kind = new Choice<Volume['kind']>('Shape', [['sphere', 'Sphere'], ['box', 'Box']], changed);
    this.#centre = new AxesField('Centre', changed, { step: 0.02 });
    this.#half = new AxesField('Half size', changed, { step: 0.02, min: 0 });
    const faint = new NumberField('Fainter than', () => {}, { digits: 2, step: 0.05, min: 0, name: 'Opacity below which splats are selected' });
    faint.value = 0.1;
    this.#remove = button('Delete selected', actions.remove);
    this.#restore = button('Restore selected', actions.restore);
    this.#all = button('Restore all', actions.restoreAll);
    this.#fold = h('details', {}, h('summary', {}, h('h2', {}, 'Splats of the object')), h('div', { class: 'edit-section' },
      this.#kind.element, this.#centre.element, this.#half.element,
      h('div', { class: 'row wrap' },
        button('Select inside', actions.selectInside), button('Suggest floaters', actions.selectFloaters)),
      h('div', { class: 'row wrap' }, faint.element, button('Select faint', () => actions.selectFaint(faint.value))),
      this.#status,
      h('div', { class: 'row wrap' },
        this.#remove, this.#restore, button('Select none', actions.selectNone), this.#all)));
    this.element = h('section', {}, this.#fold);
    this.#fold.addEventListener('toggle', () => actions.open());
  }

  /** Whether it is in use: then handles in the picture move its shape. */
  get open(): boolean {
    return this.#fold.open;
  }

  get volume(): Volume {
    const half = this.#half.values.map((v) => Math.max(v, 1e-3)) as [number, number, number];
    return { kind: this.#kind.value, centre: this.#centre.values, half };
  }

  set volume({ kind, centre, half }: Volume) {
    this.#kind.value = kind;
    this.#centre.values = centre;
    this.#half.values = half;
  }

  show(selected: number, removed: number, of: number): void {
    this.#status.textContent =
      `${plural(selected, 'splat')} selected; ${count(removed)} of ${count(of)} deleted.`;
    this.#remove.disabled = this.#restore.disabled = selected === 0;
    this.#all.disabled = removed === 0;
  }
}
