import type { Box } from '../api/types';
import { h } from '../ui/dom';
import { css, objectColor } from '../ui/palette';
import { boxOfDrag, type Point } from './boxes';
import { loadMask, type MaskPicture } from './mask';

const MASK_SIDE = 900; // masks are drawn at most this large: enough for any screen's width here
const CLICK_PX = 6;

export interface Mark {
  /** Colour and number. */
  number: number;
  label: string;
  detail: string;
  box: Box;
  maskUrl: string | null;
  included: boolean;
}

export interface PhotoActions {
  toggle?: (mark: number) => void;
  draw?: (box: Box) => void;
}

/**
 * A photo with objects marked on it. A click on an object calls `toggle`, a drag `draw`.
 *
 * Everything is placed in percent of the photo, so it fits at any size.
 */
export class PhotoCanvas {
  readonly element: HTMLElement;
  readonly #canvas: HTMLCanvasElement;
  readonly #tags = h('div', { class: 'tags' });
  readonly #rubber = h('div', { class: 'rubber', hidden: true });
  readonly #masks = new Map<string, MaskPicture>();
  readonly #width: number;
  readonly #height: number;
  readonly #actions: PhotoActions;
  #marks: Mark[] = [];

  constructor(
    photo: { url: string; width: number; height: number }, alt: string, actions: PhotoActions = {},
  ) {
    this.#width = photo.width;
    this.#height = photo.height;
    this.#actions = actions;
    const shrink = Math.min(1, MASK_SIDE / Math.max(photo.width, photo.height));
    this.#canvas = h('canvas', {
      width: Math.round(photo.width * shrink), height: Math.round(photo.height * shrink),
      'aria-hidden': 'true',
    });
    this.element = h(
      'div',
      {
        class: actions.draw ? 'photo drawable' : 'photo',
        style: `--w:${photo.width};--h:${photo.height}`,
      },
      h('img', { src: photo.url, alt, draggable: 'false' }),
      this.#canvas, this.#tags, this.#rubber,
    );
    if (actions.draw || actions.toggle) this.#listen();
  }

  async show(marks: Mark[]): Promise<void> {
    this.#marks = marks;
    this.#tag();
    this.#paint();
    await Promise.all(
      marks.map(async (mark) => {
        const url = mark.maskUrl;
        if (!url || this.#masks.has(url)) return;
        const { width, height } = this.#canvas;
        try {
          this.#masks.set(url, await loadMask(url, objectColor(mark.number), width, height));
        } catch {
          // Its job may just have been deleted. The label stands without it.
        }
      }),
    );
    this.#paint();
  }

  #tag(): void {
    this.#tags.replaceChildren(
      ...this.#marks.map((mark, k) => {
        const [x0, y0, x1, y1] = mark.box;
        const place = [
          `left:${(100 * x0) / this.#width}%`, `top:${(100 * y0) / this.#height}%`,
          `width:${(100 * (x1 - x0)) / this.#width}%`, `height:${(100 * (y1 - y0)) / this.#height}%`,
          `--mark:${css(objectColor(mark.number))}`,
        ].join(';');
        const text = h('span', { class: 'tag' }, h('b', {}, mark.label), mark.detail || null);
        const kind = mark.maskUrl ? 'mark' : 'mark boxed';
        return h('div', { class: mark.included ? kind : `${kind} dropped`, style: place, 'data-mark': k }, text);
      }),
    );
  }

  #paint(): void {
    const context = this.#canvas.getContext('2d');
    if (!context) return;
    context.clearRect(0, 0, this.#canvas.width, this.#canvas.height);
    for (const mark of this.#marks) {
      const mask = mark.maskUrl ? this.#masks.get(mark.maskUrl) : undefined;
      if (!mask) continue;
      context.globalAlpha = mark.included ? 1 : 0.22;
      context.drawImage(mask.picture, 0, 0);
    }
  }

  /** The smallest object under a point, where objects overlap. */
  #at(point: Point): number | null {
    const x = point.x / this.#width;
    const y = point.y / this.#height;
    let best: { mark: number; area: number } | null = null;
    for (const [k, mark] of this.#marks.entries()) {
      const mask = mark.maskUrl ? this.#masks.get(mark.maskUrl) : undefined;
      const [x0, y0, x1, y1] = mark.box;
      const inBox = point.x >= x0 && point.x < x1 && point.y >= y0 && point.y < y1;
      const hit = mask ? mask.covers(x, y) : inBox;
      const area = mask?.area ?? (x1 - x0) * (y1 - y0);
      if (hit && (best === null || area < best.area)) best = { mark: k, area };
    }
    return best?.mark ?? null;
  }

  #listen(): void {
    const point = (e: PointerEvent): Point => {
      const frame = this.element.getBoundingClientRect();
      return {
        x: ((e.clientX - frame.left) / frame.width) * this.#width,
        y: ((e.clientY - frame.top) / frame.height) * this.#height,
      };
    };
    let start: { at: Point; x: number; y: number } | null = null;
    const drawn = (e: PointerEvent) =>
      start && Math.hypot(e.clientX - start.x, e.clientY - start.y) > CLICK_PX
        ? boxOfDrag(start.at, point(e), this.#width, this.#height)
        : null;
    this.element.addEventListener('pointerdown', (e) => {
      if (e.button !== 0) return;
      start = { at: point(e), x: e.clientX, y: e.clientY };
      this.element.setPointerCapture(e.pointerId);
    });
    this.element.addEventListener('pointermove', (e) => {
      const box = this.#actions.draw ? drawn(e) : null;
      this.#rubber.hidden = box === null;
      if (!box) return;
      const [x0, y0, x1, y1] = box;
      this.#rubber.style.left = `${(100 * x0) / this.#width}%`;
      this.#rubber.style.top = `${(100 * y0) / this.#height}%`;
      this.#rubber.style.width = `${(100 * (x1 - x0)) / this.#width}%`;
      this.#rubber.style.height = `${(100 * (y1 - y0)) / this.#height}%`;
    });
    const stop = () => {
      start = null;
      this.#rubber.hidden = true;
    };
    this.element.addEventListener('pointercancel', stop);
    this.element.addEventListener('pointerup', (e) => {
      if (!start) return;
      const box = drawn(e);
      const moved = Math.hypot(e.clientX - start.x, e.clientY - start.y) > CLICK_PX;
      stop();
      if (box) this.#actions.draw?.(box);
      else if (!moved) {
        const hit = this.#at(point(e));
        if (hit !== null) this.#actions.toggle?.(hit);
      }
    });
  }
}
