import type { Box } from '../api/types';
import { h } from '../ui/dom';
import { css, objectColor } from '../ui/palette';
import { boxOf, type Bits } from './bits';
import { boxOfDrag, type Point } from './boxes';
import type { Tap, Thing } from './editing';
import { paint } from './mask';

export type Tool = 'add' | 'takeAway' | 'brush' | 'eraser';

export interface WorkbenchActions {
  /** A click; `on` is the object under it. */
  tap: (tap: Tap, on: Thing | null) => void;
  box: (box: Box) => void;
  stroke: (where: Bits, inside: boolean, on: Thing | null) => void;
}

const CLICK_PX = 6;
/** One press of an arrow key moves the cross hair by this share of the photo's longer side. */
const STEP = 1 / 60;
const STEPS: Record<string, readonly [number, number]> = {
  ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1],
};

/** The photo with masks over it, to be clicked, drawn and painted on, with hand, pen or keys. */
export class Workbench {
  readonly element: HTMLElement;
  tool: Tool = 'add';
  /** Of the brush, as a share of the photo's longer side. */
  brush = 0.02;
  readonly #canvas: HTMLCanvasElement;
  readonly #tags = h('div', { class: 'tags' });
  readonly #rubber = h('div', { class: 'rubber', hidden: true });
  readonly #cross = h('div', { class: 'cross', hidden: true });
  readonly #pictures = new WeakMap<Bits, Map<string, HTMLCanvasElement>>();
  readonly #boxes = new WeakMap<Bits, [number, number, number, number] | null>();
  readonly #photo: { width: number; height: number };
  readonly #actions: WorkbenchActions;
  #things: readonly Thing[] = [];
  #selected: number | null = null;
  #at: Point;

  constructor(
    photo: { url: string; width: number; height: number }, size: { width: number; height: number },
    actions: WorkbenchActions,
  ) {
    this.#photo = photo;
    this.#actions = actions;
    this.#at = { x: photo.width / 2, y: photo.height / 2 };
    this.#canvas = h('canvas', { ...size, 'aria-hidden': 'true' });
    this.element = h(
      'div',
      {
        class: 'photo drawable', style: `--w:${photo.width};--h:${photo.height}`, tabindex: 0, role: 'application',
        'aria-label': 'The photo. Arrow keys move the cross hair, Enter points there, with Alt it takes away.',
      },
      h('img', { src: photo.url, alt: '', draggable: 'false' }),
      this.#canvas, this.#tags, this.#rubber, this.#cross,
    );
    this.#listenToPointers();
    this.#listenToKeys();
  }

  show(things: readonly Thing[], selected: number | null): void {
    this.#things = things;
    this.#selected = selected;
    this.element.classList.toggle('painting', this.tool === 'brush' || this.tool === 'eraser');
    this.#tag();
    this.#draw();
  }

  #draw(): void {
    const context = this.#canvas.getContext('2d');
    if (!context) return;
    context.clearRect(0, 0, this.#canvas.width, this.#canvas.height);
    for (const thing of this.#things) {
      const away = !thing.included || (this.#selected !== null && thing.id !== this.#selected);
      context.globalAlpha = away ? (thing.included ? 0.45 : 0.2) : 1;
      context.drawImage(this.#picture(thing), 0, 0);
    }
    context.globalAlpha = 1;
    const scale = this.#canvas.width / this.#photo.width;
    const selected = this.#things.find((thing) => thing.id === this.#selected);
    const radius = Math.max(3, this.#canvas.width / 130);
    for (const tap of selected?.taps ?? []) {
      context.beginPath();
      context.arc(tap.x * scale, tap.y * scale, radius, 0, 7);
      context.fillStyle = tap.positive ? '#fff' : '#b3261e';
      context.strokeStyle = tap.positive ? '#14171d' : '#fff';
      context.lineWidth = radius / 2;
      context.fill();
      context.stroke();
    }
  }

  #picture(thing: Thing): HTMLCanvasElement {
    const color = objectColor(thing.id);
    const ofThing = this.#pictures.get(thing.bits) ?? new Map<string, HTMLCanvasElement>();
    this.#pictures.set(thing.bits, ofThing);
    let picture = ofThing.get(css(color));
    if (!picture) {
      const { width, height, data } = thing.bits;
      picture = h('canvas', { width, height });
      const pixels = new ImageData(width, height);
      paint(pixels.data, data, width, height, color);
      picture.getContext('2d')?.putImageData(pixels, 0, 0);
      ofThing.set(css(color), picture);
    }
    return picture;
  }

  #tag(): void {
    this.#tags.replaceChildren(...this.#things.map((thing) => {
      const [x0, y0, x1, y1] = this.#box(thing.bits) ?? [0, 0, 0, 0];
      const { width, height } = thing.bits;
      const place = [
        `left:${(100 * x0) / width}%`, `top:${(100 * y0) / height}%`,
        `width:${(100 * (x1 - x0)) / width}%`, `height:${(100 * (y1 - y0)) / height}%`,
        `--mark:${css(objectColor(thing.id))}`,
      ].join(';');
      const kind = ['mark', thing.included ? '' : 'dropped', thing.id === this.#selected ? 'selected' : ''].join(' ');
      return h('div', { class: kind, style: place },
        h('span', { class: 'tag' }, h('b', {}, thing.label || 'object'), thing.detail || null));
    }));
  }

  #box(bits: Bits): [number, number, number, number] | null {
    let box = this.#boxes.get(bits);
    if (box === undefined) this.#boxes.set(bits, (box = boxOf(bits)));
    return box;
  }

  /** The smallest object at a point. */
  #under({ x, y }: Point): Thing | null {
    let best: { thing: Thing; area: number } | null = null;
    for (const thing of this.#things) {
      const { width, height, data } = thing.bits;
      const at = Math.floor((y / this.#photo.height) * height) * width + Math.floor((x / this.#photo.width) * width);
      if (!data[at]) continue;
      const [x0, y0, x1, y1] = this.#box(thing.bits) ?? [0, 0, 0, 0];
      const area = (x1 - x0) * (y1 - y0);
      if (!best || area < best.area) best = { thing, area };
    }
    return best?.thing ?? null;
  }

  #point(e: PointerEvent): Point {
    const frame = this.element.getBoundingClientRect();
    const within = (share: number, most: number) => Math.min(most - 1e-3, Math.max(0, share * most));
    return {
      x: within((e.clientX - frame.left) / frame.width, this.#photo.width),
      y: within((e.clientY - frame.top) / frame.height, this.#photo.height),
    };
  }

  #listenToPointers(): void {
    let start: { at: Point; x: number; y: number; away: boolean; path: Point[] } | null = null;
    const moved = (e: PointerEvent) => !!start && Math.hypot(e.clientX - start.x, e.clientY - start.y) > CLICK_PX;
    const paints = () => this.tool === 'brush' || this.tool === 'eraser';
    const stop = () => {
      start = null;
      this.#rubber.hidden = true;
    };
    this.element.addEventListener('contextmenu', (e) => e.preventDefault());
    this.element.addEventListener('pointerdown', (e) => {
      if (e.button !== 0 && e.button !== 2) return;
      const at = this.#point(e);
      start = { at, x: e.clientX, y: e.clientY, away: e.altKey || e.button === 2, path: [at] };
      this.#cross.hidden = true;
      this.element.setPointerCapture(e.pointerId);
    });
    this.element.addEventListener('pointermove', (e) => {
      if (!start) return;
      if (paints()) {
        start.path.push(this.#point(e));
        this.#preview(start.path, this.tool === 'brush' && !start.away);
        return;
      }
      const box = moved(e) ? boxOfDrag(start.at, this.#point(e), this.#photo.width, this.#photo.height) : null;
      this.#rubber.hidden = box === null;
      if (!box) return;
      const [x0, y0, x1, y1] = box;
      const share = (value: number, side: number) => `${(100 * value) / side}%`;
      this.#rubber.style.left = share(x0, this.#photo.width);
      this.#rubber.style.top = share(y0, this.#photo.height);
      this.#rubber.style.width = share(x1 - x0, this.#photo.width);
      this.#rubber.style.height = share(y1 - y0, this.#photo.height);
    });
    this.element.addEventListener('pointercancel', () => {
      stop();
      this.#draw();
    });
    this.element.addEventListener('pointerup', (e) => {
      if (!start) return;
      const { at, away, path } = start;
      const dragged = moved(e);
      const to = this.#point(e);
      stop();
      if (paints()) this.#paint(path, this.tool === 'brush' && !away);
      else if (!dragged) this.#click(at, away);
      else {
        const box = boxOfDrag(at, to, this.#photo.width, this.#photo.height);
        if (box) this.#actions.box(box);
      }
    });
  }

  #listenToKeys(): void {
    this.element.addEventListener('keydown', (e) => {
      const step = STEPS[e.key];
      const { width, height } = this.#photo;
      if (step) {
        const far = STEP * Math.max(width, height) * (e.shiftKey ? 4 : 1);
        this.#at = {
          x: Math.min(width - 1e-3, Math.max(0, this.#at.x + step[0] * far)),
          y: Math.min(height - 1e-3, Math.max(0, this.#at.y + step[1] * far)),
        };
      } else if (e.key === 'Enter' || e.key === ' ') {
        if (this.tool === 'brush' || this.tool === 'eraser') this.#paint([this.#at], this.tool === 'brush' && !e.altKey);
        else this.#click(this.#at, e.altKey);
      } else return;
      e.preventDefault();
      this.#cross.hidden = false;
      this.#cross.style.left = `${(100 * this.#at.x) / width}%`;
      this.#cross.style.top = `${(100 * this.#at.y) / height}%`;
    });
    this.element.addEventListener('blur', () => (this.#cross.hidden = true));
  }

  #click(at: Point, away: boolean): void {
    const positive = this.tool !== 'takeAway' && !away;
    this.#actions.tap({ ...at, positive }, this.#under(at));
  }

  #preview(path: readonly Point[], inside: boolean): void {
    this.#draw();
    const context = this.#canvas.getContext('2d');
    if (context) this.#trace(context, path, inside ? 'rgb(255 255 255 / 55%)' : 'rgb(20 23 29 / 55%)');
  }

  #paint(path: readonly Point[], inside: boolean): void {
    const { width, height } = this.#canvas;
    const context = h('canvas', { width, height }).getContext('2d', { willReadFrequently: true });
    if (!context) return;
    this.#trace(context, path, '#000');
    const pixels = context.getImageData(0, 0, width, height).data;
    const data = new Uint8Array(width * height);
    for (let k = 0; k < data.length; k++) data[k] = (pixels[4 * k + 3] ?? 0) > 127 ? 1 : 0;
    const [first] = path;
    this.#actions.stroke({ width, height, data }, inside, first ? this.#under(first) : null);
  }

  #trace(context: CanvasRenderingContext2D, path: readonly Point[], color: string): void {
    const scale = this.#canvas.width / this.#photo.width;
    context.beginPath();
    for (const { x, y } of path) context.lineTo(x * scale, y * scale);
    const [only] = path;
    if (path.length === 1 && only) context.lineTo(only.x * scale + 0.01, only.y * scale);
    context.lineWidth = 2 * this.brush * Math.max(this.#canvas.width, this.#canvas.height);
    context.lineCap = context.lineJoin = 'round';
    context.strokeStyle = color;
    context.stroke();
  }
}
