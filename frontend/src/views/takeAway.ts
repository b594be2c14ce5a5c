import { api } from '../api/client';
import type { ExportState, Job, JobFile, NewExports, SceneExports, SceneFormat } from '../api/types';
import { h } from '../ui/dom';
import { bytes, duration, percent, plural } from '../ui/format';
import { icon } from '../ui/icons';
import { problemOf } from '../ui/problem';
import { showsRooms, standInRoom } from '../viewer/yourRoom';

/** What every scene has, with the name of its file. */
const OWN: readonly [file: string, name: string, use: string][] = [
  ['scene.glb', 'GLB mesh', 'Blender, engines, the web'],
  ['scene.ply', 'PLY splats', 'splat viewers and editors'],
  ['scene.obj', 'OBJ mesh', 'with its materials and textures'],
];
const OF_OBJ = /^scene(\.mtl|_[^/]*\.png)$/;
const PATHS: readonly [string, string][] = [['swing', 'Swing'], ['circle', 'Circle'], ['flight', 'Flight']];
const SPLATS: readonly [string, string][] = [['ply', 'PLY'], ['sog', 'SOG'], ['compressed.ply', 'Compressed PLY'], ['splat', 'SPLAT']];
const FRAMES: readonly [string, string][] = [['y-up', 'y up, as the GLB'], ['y-down', 'y down, as most viewers want it']];
const SIZES = [256, 512, 720, 1024];
const PICTURES = [1024, 2048, 4096];

/** A file that can be chosen for the ZIP; one that is not there can be made first. */
interface Choosable {
  name: string;
  title: string;
  use: string;
  size: number;
  there: boolean;
  refused: string | null;
  format: string | null;
}

/** All formats, loops and pictures of a scene, made when they are asked for, and a ZIP of what is chosen. */
export class TakeAway {
  readonly element: HTMLElement;
  readonly #job: Job;
  readonly #chosen = new Set<string>();
  readonly #list = h('ul', { class: 'choices-list' });
  readonly #exportList = h('ul', { class: 'made' });
  readonly #make = h('button', { type: 'button', class: 'button', onclick: () => this.#makeChosen() });
  readonly #zip = h('a', { class: 'button', download: 'scene.zip' });
  readonly #all = h('a', { class: 'button', download: 'scene.zip' });
  readonly #room = h('div', { class: 'selection-tools' });
  readonly #status = h('p', { class: 'hint', role: 'status' });
  readonly #stop = h('button', { type: 'button', class: 'button', hidden: true, onclick: () => this.#run(api.cancel(this.#job.id)) }, 'Stop');
  readonly #kinds = h('select', { id: 'loop-format' });
  #exports: SceneExports | null = null;
  #state = '';

  constructor(job: Job) {
    this.#job = job;
    const choice = (id: string, label: string, options: readonly [string | number, string][], usual: string | number) => {
      const select = h('select', { id }, ...options.map(([value, name]) => h('option', { value, selected: value === usual }, name)));
      return [select, h('div', { class: 'field' }, h('label', { for: id }, label), select)] as const;
    };
    const [path, pathField] = choice('loop-path', 'Path', PATHS, 'circle');
    const [size, sizeField] = choice('loop-size', 'Longer side', SIZES.map((n) => [n, `${n} px`]), 512);
    const [frames, framesField] = choice('loop-frames', 'Frames', [[24, '24'], [36, '36'], [60, '60']], 36);
    const [picture, pictureField] = choice('picture-size', 'Longer side', PICTURES.map((n) => [n, `${n} px`]), 2048);
    const [splats, splatsField] = choice('splats-format', 'File', SPLATS, 'ply');
    const [frame, frameField] = choice('splats-frame', 'Axes', FRAMES, 'y-up');
    const make = (what: () => NewExports) => h('button', { type: 'button', class: 'button', onclick: () => this.#ask(what()) }, 'Make it');
    this.element = h('section', { class: 'downloads take-away' },
      h('details', {},
        h('summary', {}, 'Every format, films, a ZIP'),
        this.#status, this.#stop,
        h('fieldset', {}, h('legend', {}, 'Formats'), this.#list,
          h('div', { class: 'selection-tools' }, this.#make, this.#zip, this.#all), this.#room),
        h('fieldset', { class: 'loop' }, h('legend', {}, 'Splats the other way up'),
          splatsField, frameField,
          make(() => ({ splats: [{ format: splats.value, frame: frame.value }] }))),
        h('fieldset', { class: 'loop' }, h('legend', {}, 'A turn around the scene'),
          pathField, h('div', { class: 'field' }, h('label', { for: 'loop-format' }, 'File'), this.#kinds), sizeField, framesField,
          make(() => ({ turntables: [{ path: path.value, format: this.#kinds.value, frames: Number(frames.value), size: Number(size.value) }] }))),
        h('fieldset', { class: 'loop' }, h('legend', {}, 'A picture from the photo’s side'),
          pictureField, make(() => ({ pictures: [{ size: Number(picture.value) }] }))),
        this.#exportList));
    this.element.querySelector('details')?.addEventListener('toggle', () => this.#load());
  }

  /** What the server says of making them. */
  follow(state: ExportState | null): void {
    if (!state) return;
    const busy = state.state === 'waiting' || state.state === 'writing';
    const time = state.eta_seconds === null ? '' : `, about ${duration(state.eta_seconds)} left`;
    const words: Record<ExportState['state'], string> = {
      idle: '',
      waiting: `Waiting to be made${time}.`,
      writing: `Making them, ${percent(state.fraction)}${time}.`,
      failed: `Not made: ${state.error?.detail ?? 'see the server’s log'}`,
    };
    if (busy || state.state !== this.#state) this.#status.textContent = words[state.state];
    this.#stop.hidden = !busy;
    this.element.dataset.state = state.state;
    if (state.state !== this.#state) this.#load();
    this.#state = state.state;
  }

  #load(): void {
    if (!this.element.querySelector('details')?.open) return;
    this.#run(api.exports(this.#job.id).then((exports) => this.#show(exports)));
  }

  #ask(what: NewExports): void {
    this.#run(api.ask(this.#job.id, what).then((exports) => {
      this.#show(exports);
      this.follow(exports);
    }));
  }

  #makeChosen(): void {
    const absent = this.#choosable().filter((c) => this.#chosen.has(c.name) && !c.there);
    this.#ask({ formats: absent.map((c) => c.format ?? '') });
  }

  #choosable(): Choosable[] {
    if (!this.#exports) return [];
    const own = OWN.flatMap(([name, title, use]) => {
      const files = this.#job.files.filter((f) => f.name === name || (name === 'scene.obj' && OF_OBJ.test(f.name)));
      const size = files.reduce((sum, f) => sum + f.bytes, 0);
      return files.length ? [{ name, title, use, size, there: true, refused: null, format: null }] : [];
    });
    return [...own, ...this.#exports.formats.map((f) => ({
      name: f.name, title: f.format, use: f.readers, size: f.expected_bytes, there: f.state === 'made',
      refused: f.refused, format: f.format,
    }))];
  }

  #show(exports: SceneExports): void {
    this.#exports = exports;
    if (this.#kinds.options.length === 0) {
      this.#kinds.append(...exports.turntable_formats.map((f) => h('option', { value: f, selected: f === 'webp' }, f)));
    }
    const focused = document.activeElement?.id;
    this.#list.replaceChildren(...this.#choosable().map((one) => this.#row(one)));
    if (focused?.startsWith('choose-')) document.getElementById(focused)?.focus();
    const failed = Object.entries(exports.refused).filter(([name]) => !exports.formats.some((f) => f.name === name));
    this.#exportList.replaceChildren(
      ...exports.loops.map((file) => h('li', {}, fileLink(file))),
      ...failed.map(([name, why]) => h('li', { class: 'hint' }, `${name}: ${why}`)));
    if (showsRooms()) this.#showRoom(exports.formats.find((f) => f.format === 'usdz'));
    this.#all.href = exports.zip_url;
    this.#all.textContent = `Everything as ZIP, ${bytes(exports.zip_bytes)}`;
    this.#label();
  }

  /** The scene in one's room, on a phone that can show it there; its file is made when it is asked for. */
  #showRoom(usdz: SceneFormat | undefined): void {
    const [file] = usdz?.state === 'made' ? usdz.files : [];
    if (file) {
      const link = h('a', { href: file.url });
      standInRoom(link);
      this.#room.replaceChildren(link);
    } else if (usdz?.state === 'absent' && usdz.refused === null) {
      this.#room.replaceChildren(h('button', {
        type: 'button', class: 'button', onclick: () => this.#ask({ formats: ['usdz'] }),
      }, `Make it for your room, ≈ ${bytes(usdz.expected_bytes)}`));
    } else this.#room.replaceChildren();
  }

  #row(one: Choosable): HTMLElement {
    const id = `choose-${one.name}`;
    const box = h('input', { type: 'checkbox', id, checked: this.#chosen.has(one.name), disabled: one.refused !== null });
    box.addEventListener('change', () => {
      if (box.checked) this.#chosen.add(one.name);
      else this.#chosen.delete(one.name);
      this.#label();
    });
    const size = one.there ? bytes(one.size) : `≈ ${bytes(one.size)}`;
    return h('li', {}, h('label', { class: 'check', for: id }, box,
      h('span', {}, h('b', {}, one.title), h('small', {}, one.refused ?? one.use)),
      h('small', { class: 'size', title: one.there ? 'made' : 'not made yet' }, one.refused === null && size)));
  }

  #label(): void {
    const chosen = this.#choosable().filter((c) => this.#chosen.has(c.name));
    const absent = chosen.filter((c) => !c.there);
    const size = (files: Choosable[]) => bytes(files.reduce((sum, f) => sum + f.size, 0));
    // What is not there yet is made first; then there is something to pack.
    this.#make.hidden = chosen.length > 0 && absent.length === 0;
    this.#make.disabled = absent.length === 0;
    this.#make.textContent = absent.length ? `Make ${plural(absent.length, 'format')}, ≈ ${size(absent)}` : 'Choose formats';
    this.#zip.hidden = !this.#make.hidden;
    this.#zip.textContent = `${plural(chosen.length, 'format')} as ZIP, ${size(chosen)}`;
    const names = chosen.map((c) => `name=${encodeURIComponent(c.name)}`).join('&');
    this.#zip.href = `${this.#exports?.zip_url}?${names}`;
  }

  #run(work: Promise<unknown>): void {
    work.catch((error: unknown) => (this.#status.textContent = problemOf(error).detail));
  }
}

function fileLink(file: JobFile): HTMLElement {
  return h('a', { class: 'file', href: file.url, download: file.name }, icon('download'),
    h('span', {}, h('b', {}, file.name)), h('small', { class: 'size' }, bytes(file.bytes)));
}
