import { h } from '../ui/dom';

/** A number with a label; tells when it was changed to something that is one. */
export class NumberField {
  readonly element: HTMLElement;
  readonly #input: HTMLInputElement;
  readonly #digits: number;

  constructor(
    label: string, onChange: (value: number) => void,
    { digits = 3, step = 0.01, min = null as number | null, name = '' } = {},
  ) {
    this.#digits = digits;
    this.#input = h('input', {
      type: 'number', step: String(step), min, inputmode: 'decimal', 'aria-label': name || label,
      onchange: () => {
        if (Number.isFinite(this.#input.valueAsNumber)) onChange(this.#input.valueAsNumber);
      },
    });
    this.element = h('label', { class: 'number' }, h('span', { 'aria-hidden': 'true' }, label), this.#input);
  }

  get value(): number {
    return this.#input.valueAsNumber;
  }

  set value(value: number) {
    const text = String(Number(value.toFixed(this.#digits)));
    if (this.#input.value !== text) this.#input.value = text;
  }

  set disabled(disabled: boolean) {
    this.#input.disabled = disabled;
  }
}

export type Axis = 0 | 1 | 2;

/** Three numbers, of the axes; tells which one was changed: the others are shown rounded. */
export class AxesField {
  readonly element: HTMLElement;
  readonly #fields: NumberField[];

  constructor(
    title: string, onChange: (axis: Axis, value: number) => void,
    options: { digits?: number; step?: number; min?: number } = {},
  ) {
    this.#fields = ['x', 'y', 'z'].map((axis, k) =>
      new NumberField(axis, (value) => onChange(k as Axis, value), { ...options, name: `${title} ${axis}` }));
    this.element = h('div', { class: 'axes', role: 'group', 'aria-label': title },
      h('span', { class: 'axes-title' }, title), ...this.#fields.map((f) => f.element));
  }

  get values(): [number, number, number] {
    return this.#fields.map((f) => (Number.isFinite(f.value) ? f.value : 0)) as [number, number, number];
  }

  set values(values: readonly number[]) {
    this.#fields.forEach((f, k) => (f.value = values[k] ?? 0));
  }
}

/** Three numbers with one of them changed. */
export function replaced(values: readonly [number, number, number], axis: Axis, value: number): [number, number, number] {
  const next: [number, number, number] = [...values];
  next[axis] = value;
  return next;
}

export function button(label: string, onclick: () => void, attributes: Record<string, string> = {}): HTMLButtonElement {
  return h('button', { type: 'button', class: 'button small', onclick, ...attributes }, label);
}

/** A choice of one among few, as buttons that are pressed. */
export class Choice<T extends string> {
  readonly element: HTMLElement;
  readonly #buttons = new Map<T, HTMLButtonElement>();
  #value: T;

  constructor(label: string, options: readonly (readonly [T, string])[], onChange: (value: T) => void) {
    const [first] = options[0] ?? [];
    if (first === undefined) throw new Error('a choice of nothing');
    this.#value = first;
    this.element = h('div', { class: 'segmented', role: 'group', 'aria-label': label });
    for (const [value, text] of options) {
      const one = h('button', {
        type: 'button', onclick: () => {
          this.value = value;
          onChange(value);
        },
      }, text);
      this.#buttons.set(value, one);
      this.element.append(one);
    }
    this.value = first;
  }

  get value(): T {
    return this.#value;
  }

  set value(value: T) {
    this.#value = value;
    for (const [key, one] of this.#buttons) one.setAttribute('aria-pressed', String(key === value));
  }
}
