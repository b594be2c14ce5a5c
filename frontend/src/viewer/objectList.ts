import { h, iconButton } from '../ui/dom';
import { count, percent } from '../ui/format';
import { icon } from '../ui/icons';
import { css, objectColor } from '../ui/palette';
import type { Manifest } from './manifest';

export interface ObjectListActions {
  hide(index: number, hidden: boolean): void;
  isolate(index: number | null): void;
  focus(index: number): void;
}

/** The objects of the scene: hide, show alone, go to. */
export class ObjectList {
  readonly element: HTMLElement;
  readonly #rows = new Map<number, { row: HTMLElement; eye: HTMLButtonElement; only: HTMLButtonElement }>();
  #hidden = new Set<number>();
  #isolated: number | null = null;

  constructor(manifest: Manifest, actions: ObjectListActions) {
    const list = h('ul', { class: 'objects' });
    for (const o of manifest.objects) {
      const eye = iconButton(icon('eye'), `Hide ${o.label} ${o.index}`, () => {
        const hidden = !this.#hidden.has(o.index);
        if (hidden) this.#hidden.add(o.index);
        else this.#hidden.delete(o.index);
        this.#isolated = null;
        actions.hide(o.index, hidden);
        this.#update();
      }, { 'aria-pressed': 'false' });
      const only = iconButton(icon('only'), `Show only ${o.label} ${o.index}`, () => {
        this.#isolated = this.#isolated === o.index ? null : o.index;
        this.#hidden = new Set(
          this.#isolated === null
            ? []
            : manifest.objects.map((other) => other.index).filter((k) => k !== o.index),
        );
        actions.isolate(this.#isolated);
        this.#update();
      }, { 'aria-pressed': 'false' });
      const row = h(
        'li',
        { class: 'object', 'data-index': o.index },
        h('span', { class: 'swatch', style: `background:${css(objectColor(o.index))}` }),
        h(
          'button',
          {
            type: 'button', class: 'object-name', title: `Go to ${o.label}`,
            onclick: () => actions.focus(o.index),
          },
          h('b', {}, o.label),
          h('small', {}, `${percent(o.score)} sure · ${count(o.gaussians)} splats`),
        ),
        manifest.objects.length > 1 && only,
        eye,
      );
      this.#rows.set(o.index, { row, eye, only });
      list.append(row);
    }
    for (const f of manifest.failed) {
      list.append(
        h('li', { class: 'object failed' },
          h('span', { class: 'swatch' }),
          h('span', { class: 'object-name' }, h('b', {}, f.label), h('small', {}, f.reason))),
      );
    }
    this.element = list;
  }

  /** Mark the object that was clicked in the picture. */
  mark(index: number | null): void {
    for (const [key, { row }] of this.#rows) row.classList.toggle('marked', key === index);
    if (index !== null) this.#rows.get(index)?.row.scrollIntoView({ block: 'nearest' });
  }

  #update(): void {
    for (const [index, { row, eye, only }] of this.#rows) {
      const hidden = this.#hidden.has(index);
      row.classList.toggle('hidden-object', hidden);
      eye.setAttribute('aria-pressed', String(hidden));
      eye.replaceChildren(icon(hidden ? 'eyeOff' : 'eye'));
      only.setAttribute('aria-pressed', String(this.#isolated === index));
    }
  }
}
