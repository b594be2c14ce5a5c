import { h } from '../ui/dom';
import { downloads } from './downloads';
import { LiveView } from './liveView';
import { lookSection } from './look';
import { ObjectList } from './objectList';
import type { Source } from './source';
import { stillView } from './stillView';

/**
 * A scene on the page: the picture with its toolbar, and a panel with objects and files.
 *
 * The root's `data-state` says what is there: "loading", "partial" (first picture), "ready" (all of
 * it drawn), or "still" where this browser can draw nothing in 3D.
 */
export class Viewer {
  readonly element: HTMLElement;
  /** Beside the picture; callers may append their own sections. */
  readonly panel: HTMLElement;
  readonly #source: Source;
  #view: LiveView | null = null;

  /** @param bare leaves the panel to the caller. @param zip where a server packs all files. */
  constructor(host: HTMLElement, source: Source, { bare = false, zip = null as string | null } = {}) {
    this.#source = source;
    const { manifest } = source;
    const picture = h('div', { class: 'view' });
    const objects = h('section', {}, h('h2', {}, 'Objects'));
    this.panel = h(
      'aside',
      { class: 'panel', 'aria-label': 'Scene' },
      !bare && objects,
      !bare && h('section', {}, h('h2', {}, 'Download'), downloads(source, zip)),
      !bare && manifest.notes.length > 0 &&
        h('section', { class: 'notes' }, h('h2', {}, 'Notes'),
          h('ul', {}, ...manifest.notes.map((note) => h('li', {}, note)))),
    );
    this.element = h('div', { class: 'viewer', 'data-state': 'loading' }, picture, this.panel);
    host.append(this.element);
    try {
      this.#view = new LiveView(picture, source, (state) => (this.element.dataset.state = state));
      objects.append(this.#view.list.element);
      if (!bare) objects.after(lookSection(this.#view));
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      objects.append(new ObjectList(manifest, null).element);
      picture.replaceChildren(stillView(source, reason));
      this.element.dataset.state = 'still';
    }
  }

  /** The picture; null where this browser can draw nothing in 3D. */
  get view(): LiveView | null {
    return this.#view;
  }

  dispose(): void {
    this.#view?.dispose();
    this.#source.dispose();
    this.element.remove();
  }
}
