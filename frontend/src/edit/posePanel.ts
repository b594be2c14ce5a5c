import { h } from '../ui/dom';
import { AxesField, button, Choice, NumberField, type Axis } from './fields';
import type { Tool } from './gizmo';

export interface PoseActions {
  tool(tool: Tool): void;
  rename(name: string): void;
  move(axis: Axis, place: number): void;
  turn(axis: Axis, degrees: number): void;
  /** In per cent of its own size. */
  resize(percent: number): void;
  ground(): void;
  upright(): void;
  reset(): void;
}

export interface ShownPose {
  name: string;
  place: readonly number[];
  degrees: readonly number[];
  percent: number;
  unit: string;
}

/** Name, place, turn and size of the chosen object. */
export class PosePanel {
  readonly element: HTMLElement;
  readonly #name: HTMLInputElement;
  readonly #place: AxesField;
  readonly #turn: AxesField;
  readonly #size: NumberField;
  readonly #unit = h('small', {});

  constructor(actions: PoseActions) {
    this.#name = h('input', {
      class: 'text-input', maxlength: 200, 'aria-label': 'Name', onchange: () => actions.rename(this.#name.value),
    });
    const tools = new Choice<Tool>(
      'Handles in the picture', [['translate', 'Move'], ['rotate', 'Turn'], ['scale', 'Scale']], actions.tool,
    );
    this.#place = new AxesField('Place', actions.move, { step: 0.01 });
    this.#turn = new AxesField('Turn', actions.turn, { digits: 1, step: 5 });
    this.#size = new NumberField('Size %', actions.resize, { digits: 1, step: 5, min: 0.01 });
    this.element = h('section', { class: 'edit-section' },
      h('h2', {}, 'Chosen object'), this.#name, tools.element,
      this.#place.element, this.#turn.element,
      h('div', { class: 'row' }, this.#size.element, this.#unit),
      h('div', { class: 'row wrap' },
        button('On the ground', actions.ground), button('Upright', actions.upright), button('Reset', actions.reset)));
  }

  show(pose: ShownPose | null): void {
    this.element.hidden = pose === null;
    if (!pose) return;
    if (document.activeElement !== this.#name) this.#name.value = pose.name;
    this.#place.values = pose.place;
    this.#turn.values = pose.degrees;
    this.#size.value = pose.percent;
    this.#unit.textContent = `Place in ${pose.unit}, turn in degrees`;
  }
}
