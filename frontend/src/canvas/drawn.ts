import type { AddedBox, Box } from '../api/types';
import { h, iconButton } from '../ui/dom';
import { icon } from '../ui/icons';
import { css, objectColor } from '../ui/palette';
import { nudge } from './boxes';
import type { Mark } from './photo';

/** Boxes that the user drew, as rows to name, move and remove them; keyboards can add one too. */
export class DrawnBoxes {
  readonly rows = h('ul', { class: 'choices' });
  readonly button: HTMLButtonElement;
  readonly #photo: { width: number; height: number };
  readonly #first: number;
  readonly #onChange: () => void;
  #boxes: AddedBox[];

  /** `first` is the number, and with it the colour, of the first box. */
  constructor(
    photo: { width: number; height: number }, first: number, onChange: () => void,
    boxes: readonly AddedBox[] = [],
  ) {
    this.#photo = photo;
    this.#first = first;
    this.#onChange = onChange;
    this.#boxes = boxes.map((b) => ({ ...b }));
    this.button = h(
      'button', { type: 'button', class: 'button quiet add-box', onclick: () => this.#addInTheMiddle() },
      icon('plus'), 'Add a box',
    );
    this.#draw();
  }

  get values(): readonly AddedBox[] {
    return this.#boxes;
  }

  get marks(): Mark[] {
    return this.#boxes.map(({ box, label }, k) => ({
      number: this.#first + k, label: label || `box ${k + 1}`, detail: '', box, maskUrl: null,
      included: true,
    }));
  }

  add(box: Box): void {
    this.#set([...this.#boxes, { box, label: '' }]);
    // A finger's keyboard would cover the photo.
    if (!matchMedia('(hover: hover)').matches) return;
    this.rows.querySelector<HTMLElement>('li:last-child input')?.focus({ preventScroll: true });
  }

  remove(index: number): void {
    this.#set(this.#boxes.filter((_, k) => k !== index));
  }

  #addInTheMiddle(): void {
    const { width, height } = this.#photo;
    this.#set([
      ...this.#boxes,
      { box: [width * 0.35, height * 0.35, width * 0.65, height * 0.65], label: '' },
    ]);
    this.rows.querySelector<HTMLElement>('li:last-child .move')?.focus();
  }

  #set(boxes: AddedBox[]): void {
    this.#boxes = boxes;
    this.#draw();
    this.#onChange();
  }

  #draw(): void {
    this.rows.replaceChildren(...this.#boxes.map((added, k) => this.#row(added, k)));
  }

  #row(added: AddedBox, k: number): HTMLElement {
    const move = (e: KeyboardEvent) => {
      const { width, height } = this.#photo;
      const box = nudge(e.key, added.box, width, height, e.shiftKey);
      if (!box) return;
      e.preventDefault();
      added.box = box;
      this.#onChange();
    };
    const name = (e: Event) => {
      added.label = (e.target as HTMLInputElement).value;
      this.#onChange();
    };
    return h(
      'li', { style: `--mark:${css(objectColor(this.#first + k))}` },
      h('input', {
        type: 'text', value: added.label, placeholder: 'What is it?', maxlength: 80,
        'aria-label': `Name of box ${k + 1}`, autocomplete: 'off', autocapitalize: 'none', oninput: name,
      }),
      iconButton(icon('move'), `Move box ${k + 1}: arrow keys; with Shift, its size`, () => {}, {
        class: 'icon move', onkeydown: move as EventListener,
      }),
      iconButton(icon('close'), `Remove box ${k + 1}`, () => this.remove(k)),
    );
  }
}
