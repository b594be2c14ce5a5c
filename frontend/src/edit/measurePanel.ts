import { h } from '../ui/dom';
import { button, NumberField } from './fields';

export type Measured = 'points' | 'width' | 'height' | 'depth';

export interface MeasureActions {
  /** Begin to take two points from the picture. */
  pick(): void;
  /** Take what is measured from the chosen object, or from the points. */
  measure(what: Measured): void;
  /** What is measured is so many metres. */
  setLength(metres: number): void;
  resetScale(): void;
}

/** How long something is, and how long it is known to be. */
export class MeasurePanel {
  readonly element: HTMLElement;
  readonly #length = h('output', { class: 'length', 'aria-live': 'polite' });
  readonly #what: HTMLSelectElement;
  readonly #knownLength: NumberField;
  readonly #set: HTMLButtonElement;
  readonly #scale = h('small', {});
  readonly #reset: HTMLButtonElement;

  constructor(actions: MeasureActions) {
    this.#what = h('select', { class: 'text-input', 'aria-label': 'What is measured', onchange: () => actions.measure(this.#what.value as Measured) },
      h('option', { value: 'points' }, 'between two points'), h('option', { value: 'height' }, 'height of the object'),
      h('option', { value: 'width' }, 'width of the object'), h('option', { value: 'depth' }, 'depth of the object'));
    this.#knownLength = new NumberField('It is', () => {}, { step: 0.01, min: 0, name: 'Known length in metres' });
    this.#set = button('Set scale', () => {
      if (this.#knownLength.value > 0) actions.setLength(this.#knownLength.value);
    });
    this.#reset = button('Reset scale', actions.resetScale);
    this.element = h('section', { class: 'edit-section' },
      h('h2', {}, 'Measure'),
      h('div', { class: 'row wrap' }, this.#what, button('Pick points', actions.pick)),
      this.#length,
      h('div', { class: 'row wrap' }, this.#knownLength.element, h('span', {}, 'm'), this.#set, this.#reset),
      this.#scale);
  }

  get what(): Measured {
    return this.#what.value as Measured;
  }

  set what(what: Measured) {
    this.#what.value = what;
  }

  /** @param text what is measured, in words; null while it is not known. */
  show(text: string | null, scale: number | null): void {
    this.#length.textContent = text ?? '–';
    this.#set.disabled = text === null;
    this.#reset.disabled = scale === null;
    this.#scale.textContent = scale === null
      ? 'The scale is the run’s own.' : `One unit of the run is ${Number(scale.toPrecision(4))} m.`;
  }
}
