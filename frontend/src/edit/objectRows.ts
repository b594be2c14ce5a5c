import { h, iconButton } from '../ui/dom';
import { icon } from '../ui/icons';

export interface Row {
  object: number;
  name: string;
  deleted: boolean;
  /** What was done to it, in words. */
  changes: string[];
}

export interface RowActions {
  select(object: number): void;
  copy(object: number): void;
  remove(object: number, deleted: boolean): void;
}

/** The objects to choose from, with copies and what was deleted. */
export class ObjectRows {
  readonly element = h('ul', { class: 'objects' });
  readonly #actions: RowActions;

  constructor(actions: RowActions) {
    this.#actions = actions;
  }

  show(rows: readonly Row[], selected: number | null): void {
    const focused = document.activeElement?.getAttribute('data-key');
    this.element.replaceChildren(...rows.map((row) => this.#row(row, row.object === selected)));
    // The buttons are new ones: whoever used a keyboard goes on where they were.
    if (focused) this.element.querySelector<HTMLElement>(`[data-key="${CSS.escape(focused)}"]`)?.focus();
  }

  #row({ object, name, deleted, changes }: Row, selected: boolean): HTMLElement {
    const title = `${name} ${object}`;
    return h('li', { class: `object${selected ? ' marked' : ''}${deleted ? ' hidden-object' : ''}` },
      h('button', {
        type: 'button', class: 'object-name', 'aria-pressed': String(selected), 'data-key': `select ${object}`,
        onclick: () => this.#actions.select(object),
      }, h('b', {}, name), h('small', {}, deleted ? 'deleted' : changes.join(', ') || `number ${object}`)),
      iconButton(icon('copy'), `Duplicate ${title}`, () => this.#actions.copy(object), {
        'data-key': `copy ${object}`, disabled: deleted,
      }),
      deleted
        ? iconButton(icon('again'), `Restore ${title}`, () => this.#actions.remove(object, false), { 'data-key': `remove ${object}` })
        : iconButton(icon('trash'), `Delete ${title}`, () => this.#actions.remove(object, true), { 'data-key': `remove ${object}` }));
  }
}
