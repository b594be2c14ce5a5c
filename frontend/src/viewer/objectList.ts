import { h, iconButton } from '../ui/dom';
import { count, percent } from '../ui/format';
import { icon } from '../ui/icons';
import { css, objectColor } from '../ui/palette';
import type { Manifest, SceneObject } from './manifest';

export interface ObjectListActions {
  /** Show all objects but these. */
  show(hidden: ReadonlySet<number>): void;
  focus(index: number): void;
}

/** The objects of the scene: hide, show alone, go to. Without actions it only tells. */
export class ObjectList {
  readonly element: HTMLElement;
  readonly #rows = new Map<number, { row: HTMLElement; eye?: HTMLElement; only?: HTMLElement }>();
  readonly #actions: ObjectListActions | null;
  readonly #indices: number[];
  #hidden = new Set<number>();
  #isolated: number | null = null;

  constructor(manifest: Manifest, actions: ObjectListActions | null) {
    this.#actions = actions;
    this.#indices = manifest.objects.map((o) => o.index);
    this.element = h('ul', { class: 'objects' });
    for (const o of manifest.objects) this.element.append(this.#row(o));
    for (const f of manifest.failed) {
      this.element.append(
        h('li', { class: 'object failed' },
          h('span', { class: 'swatch' }),
          h('span', { class: 'object-name' }, h('b', {}, f.label), h('small', {}, f.reason))),
      );
    }
  }

  /** Mark the object that was clicked in the picture. */
  mark(index: number | null): void {
    for (const [key, { row }] of this.#rows) row.classList.toggle('marked', key === index);
    if (index !== null) this.#rows.get(index)?.row.scrollIntoView({ block: 'nearest' });
  }

  #row(o: SceneObject): HTMLElement {
    const swatch = h('span', { class: 'swatch', style: `background:${css(objectColor(o.index))}` });
    const about = [
      h('b', {}, o.label),
      h('small', {}, `${percent(o.score)} sure · ${count(o.gaussians)} splats`),
    ];
    const row = h('li', { class: 'object', 'data-index': o.index }, swatch);
    if (!this.#actions) {
      row.append(h('span', { class: 'object-name' }, ...about));
      this.#rows.set(o.index, { row });
      return row;
    }
    const name = h('button', {
      type: 'button', class: 'object-name', title: `Go to ${o.label}`,
      onclick: () => this.#actions?.focus(o.index),
    }, ...about);
    const only = iconButton(
      icon('only'), `Show only ${o.label} ${o.index}`, () => this.#isolate(o.index),
      { 'aria-pressed': 'false' },
    );
    const eye = iconButton(
      icon('eye'), `Hide ${o.label} ${o.index}`, () => this.#toggle(o.index),
      { 'aria-pressed': 'false' },
    );
    row.append(name, ...(this.#indices.length > 1 ? [only] : []), eye);
    this.#rows.set(o.index, { row, eye, only });
    return row;
  }

  #toggle(index: number): void {
    if (!this.#hidden.delete(index)) this.#hidden.add(index);
    this.#isolated = null;
    this.#update();
  }

  #isolate(index: number): void {
    this.#isolated = this.#isolated === index ? null : index;
    this.#hidden = new Set(
      this.#isolated === null ? [] : this.#indices.filter((other) => other !== index),
    );
    this.#update();
  }

  #update(): void {
    for (const [index, { row, eye, only }] of this.#rows) {
      const hidden = this.#hidden.has(index);
      row.classList.toggle('hidden-object', hidden);
      eye?.setAttribute('aria-pressed', String(hidden));
      eye?.replaceChildren(icon(hidden ? 'eyeOff' : 'eye'));
      only?.setAttribute('aria-pressed', String(this.#isolated === index));
    }
    this.#actions?.show(this.#hidden);
  }
}
