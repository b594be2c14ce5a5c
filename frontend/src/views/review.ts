import { api } from '../api/client';
import type { Job } from '../api/types';
import { fromRuns, resized, toRuns, type Bits } from '../canvas/bits';
import { Editing, pointOf, type Thing } from '../canvas/editing';
import { loadBits } from '../canvas/mask';
import { Workbench, type Tool } from '../canvas/workbench';
import { h, iconButton } from '../ui/dom';
import { percent, plural } from '../ui/format';
import { icon } from '../ui/icons';
import { Notice } from '../ui/notice';
import { css, objectColor } from '../ui/palette';
import { problemBox, problemOf } from '../ui/problem';
import { toast } from '../ui/toast';
import type { View } from './view';

/** Masks are edited at this size at most, which is also what the server answers clicks at. */
const MASK_SIDE = 1024;
const TOOLS: readonly [Tool, string, string][] = [
  ['add', 'Add', 'A: a click adds what is there'],
  ['takeAway', 'Take away', 'T: a click takes away what is there; so do Alt and the right button'],
  ['brush', 'Brush', 'B: paint'],
  ['eraser', 'Eraser', 'E: erase'],
];

/** Look at the masks before paying for 3D: keep, drop, point, paint, name, merge, split. */
export function reviewView(job: Job, onChanged: (job: Job) => void): View {
  const shrink = Math.min(1, MASK_SIDE / Math.max(job.image.width, job.image.height));
  const size = {
    width: Math.max(1, Math.round(job.image.width * shrink)),
    height: Math.max(1, Math.round(job.image.height * shrink)),
  };
  const side = h('div', { class: 'side' }, h('p', { class: 'hint', role: 'status' }, 'Loading the masks…'));
  const frame = h('div', { class: 'photo-frame' });
  let dispose = () => {};
  void foundThings(job, size).then((proposals) => {
    const bench = new Review(job, size, proposals, onChanged);
    frame.append(bench.photo);
    side.replaceChildren(...bench.panel);
    dispose = () => bench.dispose();
  });
  return { element: h('div', { class: 'split' }, frame, side), dispose: () => dispose() };
}

async function foundThings(job: Job, size: { width: number; height: number }): Promise<Omit<Thing, 'id'>[]> {
  const proposals = job.objects.flatMap((o) => (o.index === null ? [] : [{ ...o, index: o.index }]));
  return Promise.all(proposals.map(async (o) => {
    let bits: Bits = { ...size, data: new Uint8Array(size.width * size.height) };
    try {
      if (o.mask_url) bits = await loadBits(o.mask_url, size.width, size.height);
    } catch {
      // Its job may just have been deleted.
    }
    const detail = o.score < 1 ? percent(o.score) : '';
    return { label: o.label, detail, included: true, index: o.index, bits, base: bits, box: null, taps: [] };
  }));
}

class Review {
  readonly photo: HTMLElement;
  readonly panel: readonly HTMLElement[];
  readonly #job: Job;
  readonly #editing: Editing;
  readonly #bench: Workbench;
  readonly #list = h('ul', { class: 'choices', 'aria-label': 'Objects' });
  readonly #rows = new Map<number, Row>();
  readonly #selection = h('div', { class: 'selection' });
  readonly #problem = h('div', { class: 'form-problem' });
  readonly #status = h('p', { class: 'hint', role: 'status' });
  readonly #tools: readonly HTMLButtonElement[];
  readonly #brush: HTMLElement;
  readonly #undo: HTMLButtonElement;
  readonly #redo: HTMLButtonElement;
  readonly #proceed: HTMLButtonElement;
  readonly #onChanged: (job: Job) => void;
  #busy = false; // the last click was answered by the quick models

  constructor(
    job: Job, size: { width: number; height: number }, proposals: readonly Omit<Thing, 'id'>[],
    onChanged: (job: Job) => void,
  ) {
    this.#job = job;
    this.#onChanged = onChanged;
    this.#editing = new Editing(proposals, async ({ taps, box, base }) => {
      const answer = await api.click(job.id, {
        points: taps.map(({ x, y, positive }) => ({ point: pointOf(x, y), positive })),
        ...(box ? { box } : {}), ...(base ? { mask: toRuns(base) } : {}),
      });
      this.#busy = answer.busy;
      return resized(fromRuns(answer.mask), size.width, size.height);
    }, () => this.#refresh());
    this.#bench = new Workbench(job.image, size, {
      tap: (tap, on) => {
        if (!this.#editing.selected && on) {
          if (tap.positive) {
            this.#editing.toggle(on.id);
            return;
          }
          this.#editing.select(on.id);
        }
        this.#run(this.#editing.tap(tap));
      },
      box: (box) => this.#run(this.#editing.box(box)),
      stroke: (where, inside, on) => {
        if (!this.#editing.selected && !inside && on) this.#editing.select(on.id);
        try {
          this.#editing.paint(where, inside);
        } catch (error) {
          toast(error);
        }
      },
    });
    this.photo = this.#bench.element;
    this.#tools = TOOLS.map(([tool, name, about]) => h('button', {
      type: 'button', title: about, 'aria-keyshortcuts': about[0], onclick: () => this.#choose(tool),
    }, name));
    const range = h('input', { type: 'range', id: 'brush-size', min: 4, max: 100, value: 20 });
    range.addEventListener('input', () => (this.#bench.brush = Number(range.value) / 1000));
    this.#brush = h('div', { class: 'field brush' }, h('label', { for: 'brush-size' }, 'Size of the brush'), range);
    this.#undo = iconButton(icon('undo'), 'Undo', () => this.#editing.undo(), { 'aria-keyshortcuts': 'Control+Z' });
    this.#redo = iconButton(icon('redo'), 'Redo', () => this.#editing.redo(), { 'aria-keyshortcuts': 'Control+Shift+Z' });
    this.#proceed = h('button', { type: 'button', class: 'button primary wide', onclick: () => void this.#go() });
    document.addEventListener('keydown', this.#keys);
    const heading = proposals.length ? `Found ${plural(proposals.length, 'object')}` : 'Point at what should be lifted out';
    this.panel = [
      h('div', { class: 'bench-title' }, h('h1', {}, heading), this.#undo, this.#redo),
      h('p', { class: 'hint' }, 'Click an object to drop or keep it, anything else to add it. Drag a box for more.'),
      h('div', { class: 'bench-tools' },
        h('div', { class: 'segmented', role: 'group', 'aria-label': 'Tools' }, ...this.#tools)),
      this.#brush, this.#list, this.#selection, this.#status,
      this.#problem, this.#proceed,
      h('button', {
        type: 'button', class: 'button quiet wide', onclick: () => void api.cancel(job.id).then(onChanged, toast),
      }, 'Cancel'),
      // Below the buttons: however much there is to say, these stay where they are.
      ...(job.notes.length ? [h('ul', { class: 'remarks' }, ...job.notes.map((note) => h('li', {}, note)))] : []),
    ];
    this.#choose('add');
  }

  dispose(): void {
    document.removeEventListener('keydown', this.#keys);
  }

  readonly #keys = (e: KeyboardEvent): void => {
    const writes = e.target instanceof HTMLInputElement && e.target.type === 'text';
    if (writes && e.key !== 'Escape') return;
    const key = e.key.toLowerCase();
    if (e.ctrlKey || e.metaKey) {
      if (key === 'z' && e.shiftKey) this.#editing.redo();
      else if (key === 'z') this.#editing.undo();
      else if (key === 'y') this.#editing.redo();
      else return;
    } else if (key === 'escape') {
      if (document.querySelector('dialog[open]') || !this.#editing.selected) return;
      this.#editing.select(null);
    } else if (e.altKey) return;
    else if (key === 'a') this.#choose('add');
    else if (key === 't') this.#choose('takeAway');
    else if (key === 'b') this.#choose('brush');
    else if (key === 'e') this.#choose('eraser');
    else return;
    e.preventDefault();
  };

  #choose(tool: Tool): void {
    this.#bench.tool = tool;
    this.#tools.forEach((button, k) => button.setAttribute('aria-pressed', String(TOOLS[k]?.[0] === tool)));
    this.#brush.hidden = tool !== 'brush' && tool !== 'eraser';
    this.#refresh();
  }

  #run(work: Promise<void>): void {
    this.#problem.replaceChildren();
    work.catch(toast);
  }

  #refresh(): void {
    const { things, selected, waiting } = this.#editing;
    this.#bench.show(things, selected?.id ?? null);
    const elements = things.map((thing) => {
      const row = this.#rows.get(thing.id) ?? new Row(thing, this.#editing);
      this.#rows.set(thing.id, row);
      row.show(thing, thing.id === selected?.id);
      return row.element;
    });
    const same = elements.length === this.#list.children.length && elements.every((row, k) => row === this.#list.children[k]);
    if (!same) this.#list.replaceChildren(...elements);
    this.#showSelection(selected);
    this.#undo.disabled = !this.#editing.canUndo;
    this.#redo.disabled = !this.#editing.canRedo;
    this.#status.textContent = waiting
      ? 'Cutting it out…'
      : this.#busy ? 'The models are at work on another job, so the quick ones answered. Click again later for a better mask.' : '';
    const n = things.filter((thing) => thing.included).length;
    this.#proceed.textContent = n ? `Reconstruct ${plural(n, 'object')}` : 'Nothing to reconstruct';
    this.#proceed.disabled = n === 0;
  }

  /** What can be done with the selected object; made anew only where another is. */
  #showSelection(selected: Thing | null): void {
    const others = this.#editing.things.filter((thing) => thing.id !== selected?.id);
    const key = JSON.stringify([selected?.id, others.map((o) => [o.id, o.label])]);
    if (this.#selection.dataset.key === key) return;
    this.#selection.dataset.key = key;
    if (!selected) {
      this.#selection.replaceChildren();
      return;
    }
    const merge = h('select', { 'aria-label': 'Merge with another object' },
      h('option', { value: '' }, 'Merge with …'), ...others.map((o) => h('option', { value: o.id }, o.label || 'object')));
    merge.addEventListener('change', () => {
      if (merge.value) this.#editing.merge(selected.id, Number(merge.value));
    });
    const split = () => {
      if (!this.#editing.split(selected.id)) toast(new Notice('It hangs together. Erase a line through it, then split it.'));
    };
    this.#selection.replaceChildren(
      h('p', { class: 'hint' }, 'Clicks now add to this object; “Take away”, Alt or the right button takes away. Done, or Escape, ends it.'),
      h('div', { class: 'selection-tools' },
        others.length > 0 && merge,
        h('button', { type: 'button', class: 'button', onclick: split }, 'Split'),
        h('button', { type: 'button', class: 'button', onclick: () => this.#editing.remove(selected.id) }, 'Remove'),
        h('button', { type: 'button', class: 'button', onclick: () => this.#editing.select(null) }, 'Done')));
  }

  async #go(): Promise<void> {
    this.#proceed.disabled = true;
    await this.#editing.settled();
    const includedThings = this.#editing.things.filter((thing) => thing.included);
    const unchanged = includedThings.filter((thing) => thing.index !== null);
    const words = new Map(this.#job.objects.map((o) => [o.index, o.label]));
    const renamed = unchanged.filter((thing) => thing.label && thing.label !== words.get(thing.index));
    try {
      this.#onChanged(await api.proceed(this.#job.id, {
        keep: unchanged.map((thing) => thing.index ?? 0),
        names: Object.fromEntries(renamed.map((thing) => [thing.index ?? 0, thing.label])),
        masks: includedThings.filter((thing) => thing.index === null).map((thing) => ({ label: thing.label, mask: toRuns(thing.bits) })),
      }));
    } catch (error) {
      this.#proceed.disabled = false;
      this.#problem.replaceChildren(problemBox(problemOf(error)));
    }
  }
}

/** An object in the list; its field stays while it is written in. */
class Row {
  readonly element: HTMLElement;
  readonly #keep: HTMLInputElement;
  readonly #name: HTMLInputElement;
  readonly #edit: HTMLButtonElement;
  readonly #sure = h('small');

  constructor({ id }: Thing, editing: Editing) {
    this.#keep = h('input', { type: 'checkbox', onchange: () => editing.toggle(id) });
    this.#name = h('input', {
      type: 'text', placeholder: 'What is it?', maxlength: 80, autocomplete: 'off', autocapitalize: 'none',
      onchange: () => editing.rename(id, this.#name.value.trim()),
    });
    this.#edit = iconButton(icon('edit'), '', () => {
      editing.select(editing.selected?.id === id ? null : id);
    });
    this.element = h('li', { style: `--mark:${css(objectColor(id))}` }, this.#keep, this.#name, this.#sure, this.#edit);
  }

  show(thing: Thing, selected: boolean): void {
    const called = thing.label || 'object';
    this.#keep.checked = thing.included;
    this.#keep.setAttribute('aria-label', `Keep ${called}`);
    if (document.activeElement !== this.#name) this.#name.value = thing.label;
    this.#name.setAttribute('aria-label', `Name of ${called}`);
    this.#sure.textContent = thing.detail;
    this.#edit.setAttribute('aria-label', `Correct ${called}`);
    this.#edit.title = `Correct ${called}`;
    this.#edit.setAttribute('aria-pressed', String(selected));
    this.element.classList.toggle('selected', selected);
  }
}
