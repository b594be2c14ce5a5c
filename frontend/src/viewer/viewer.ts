import { Box3, Matrix4, Raycaster, Sphere, Vector2, Vector3 } from 'three';

import { h, save } from '../ui/dom';
import { percent } from '../ui/format';
import { Backdrop } from './backdrop';
import { downloads } from './downloads';
import { ObjectList } from './objectList';
import { needsLevels, ObjectNode, type Mode } from './objects';
import type { Source } from './source';
import { Stage } from './stage';
import { Toolbar } from './toolbar';

const CLICK_PX = 5; // a press that moves less is a click, not a turn

/**
 * A scene on the page: picture, toolbar, and a panel with objects and files.
 *
 * The root's `data-state` says what is there: "loading", "meshes" (first picture), "ready".
 */
export class Viewer {
  readonly element: HTMLElement;
  /** Beside the picture; callers may append their own sections. */
  readonly panel: HTMLElement;

  readonly #source: Source;
  readonly #stage: Stage;
  readonly #toolbar: Toolbar;
  readonly #list: ObjectList;
  readonly #backdrop: Backdrop;
  readonly #nodes: ObjectNode[];
  readonly #sceneFromCamera: Matrix4;
  readonly #picture: HTMLElement;
  readonly #status: HTMLElement;
  #mode: Mode = 'splats';
  #disposed = false;

  constructor(host: HTMLElement, source: Source) {
    this.#source = source;
    const { manifest } = source;
    this.#sceneFromCamera = new Matrix4().fromArray(manifest.scene_from_camera.flat()).transpose();
    this.#picture = h('div', {
      class: 'picture', tabindex: 0, role: 'application',
      'aria-label': 'The scene in 3D. Drag to turn; arrow keys turn, plus and minus come closer.',
    });
    this.#status = h('p', { class: 'viewer-status', role: 'status' }, 'Loading…');
    this.#list = new ObjectList(manifest, {
      hide: (index, hidden) => {
        for (const node of this.#nodes) if (node.about.index === index) node.hidden = hidden;
        this.#show();
      },
      isolate: (index) => {
        for (const node of this.#nodes) node.hidden = index !== null && node.about.index !== index;
        this.#show();
      },
      focus: (index) => this.#focus(index),
    });
    this.#toolbar = new Toolbar({
      mode: (mode) => {
        this.#mode = mode;
        this.#show();
      },
      photo: (on) => this.#showPhoto(on),
      turn: (on) => (this.#stage.turning = on),
      background: (color) => this.#stage.setBackground(color),
      frame: () => this.#frameAll(),
      screenshot: () => void this.#screenshot(),
      full: () => void this.#toggleFullScreen(),
    });
    this.panel = h(
      'aside',
      { class: 'panel', 'aria-label': 'Scene' },
      h('section', {}, h('h2', {}, 'Objects'), this.#list.element),
      h('section', {}, h('h2', {}, 'Download'), downloads(source)),
      manifest.notes.length > 0 &&
        h('section', { class: 'notes' }, h('h2', {}, 'Notes'),
          h('ul', {}, ...manifest.notes.map((note) => h('li', {}, note)))),
    );
    this.#picture.append(this.#status);
    this.element = h(
      'div', { class: 'viewer', 'data-state': 'loading' },
      h('div', { class: 'view' }, this.#picture, this.#toolbar.element), this.panel,
    );
    host.append(this.element);

    this.#stage = new Stage(this.#picture, manifest.camera, this.#sceneFromCamera);
    this.#stage.canvas.setAttribute('aria-hidden', 'true');
    this.#backdrop = new Backdrop(manifest.camera, this.#sceneFromCamera);
    this.#nodes = manifest.objects.map((about) => new ObjectNode(about));
    this.#stage.scene.add(this.#backdrop.group, ...this.#nodes.map((n) => n.group));
    this.#stage.onFrame = () => {
      if (this.#backdrop.group.visible) {
        this.#backdrop.fade(this.#stage.camera, this.#stage.bounds.center);
      }
      this.#toolbar.reflect({ photo: this.#backdrop.group.visible, turn: this.#stage.turning });
    };
    this.#toolbar.setMode('splats');
    this.#listen();
    void this.#load();
  }

  dispose(): void {
    this.#disposed = true;
    for (const node of this.#nodes) node.dispose();
    this.#backdrop.dispose();
    this.#stage.dispose();
    this.#source.dispose();
    this.element.remove();
  }

  /** Meshes first: they are small and make the first picture. Splats then, one after the other. */
  async #load(): Promise<void> {
    const failures: string[] = [];
    const attempt = async (what: Promise<void>) => {
      try {
        await what;
      } catch (error) {
        failures.push(error instanceof Error ? error.message : String(error));
      }
    };
    await Promise.all(this.#nodes.map((node) => attempt(node.loadMesh(this.#source))));
    if (this.#disposed) return;
    if (this.#nodes.some((n) => n.loaded)) {
      this.#arrived();
      this.#frameAll(false);
      this.element.dataset.state = 'meshes';
    }
    const lod = needsLevels(this.#source.manifest);
    for (const [k, node] of this.#nodes.entries()) {
      this.#status.textContent = `Loading splats, ${percent(k / this.#nodes.length)}`;
      const first = !this.#nodes.some((n) => n.loaded);
      await attempt(node.loadSplats(this.#source, lod));
      if (this.#disposed) return;
      this.#arrived();
      if (first) this.#frameAll(false);
    }
    this.#status.textContent = failures.join(' ');
    this.#status.hidden = failures.length === 0;
    this.element.dataset.state = 'ready';
  }

  #arrived(): void {
    const box = this.#box(this.#nodes);
    this.#stage.setBounds(box);
    const sphere = this.#stage.bounds;
    const eye = new Vector3().setFromMatrixPosition(this.#sceneFromCamera);
    this.#backdrop.place(eye.distanceTo(sphere.center) + 1.5 * sphere.radius);
    this.#show();
  }

  #show(): void {
    for (const node of this.#nodes) node.show(this.#mode);
    this.#stage.invalidate();
  }

  #box(nodes: ObjectNode[]): Box3 {
    const box = new Box3();
    for (const node of nodes) if (node.loaded) box.union(node.bounds());
    return box;
  }

  /** From the photo's side, a little to the right and from above. */
  #frameAll(animate = true): void {
    this.#leavePhoto();
    const shown = this.#nodes.filter((n) => !n.hidden);
    const box = this.#box(shown.length ? shown : this.#nodes);
    if (box.isEmpty()) return;
    this.#stage.frame(box.getBoundingSphere(new Sphere()), this.#viewDirection(), animate);
  }

  #focus(index: number): void {
    const node = this.#nodes.find((n) => n.about.index === index);
    this.#list.mark(index);
    if (!node?.loaded) return;
    this.#leavePhoto();
    this.#stage.frame(node.bounds().getBoundingSphere(new Sphere()), this.#viewDirection());
  }

  #viewDirection(): Vector3 {
    return new Vector3(0.38, 0.3, 1).transformDirection(this.#sceneFromCamera);
  }

  #showPhoto(on: boolean): void {
    if (!on) {
      this.#frameAll();
      return;
    }
    void this.#source
      .url('input.png')
      .then((url) => this.#backdrop.load(url))
      .then(() => {
        this.#backdrop.group.visible = true;
        this.#stage.standAt(this.#sceneFromCamera);
      })
      .catch(() => this.#say('The photo could not be loaded.'));
  }

  #leavePhoto(): void {
    this.#backdrop.group.visible = false;
  }

  async #screenshot(): Promise<void> {
    save(await this.#stage.picture(), 'scene.png');
  }

  async #toggleFullScreen(): Promise<void> {
    if (document.fullscreenElement) await document.exitFullscreen();
    else await this.#picture.parentElement?.requestFullscreen();
  }

  #say(text: string): void {
    this.#status.textContent = text;
    this.#status.hidden = false;
  }

  #listen(): void {
    let press: { x: number; y: number } | null = null;
    this.#picture.addEventListener('pointerdown', (e) => (press = { x: e.clientX, y: e.clientY }));
    this.#picture.addEventListener('pointerup', (e) => {
      if (press && Math.hypot(e.clientX - press.x, e.clientY - press.y) < CLICK_PX) this.#pick(e);
      press = null;
    });
    const keys: Record<string, () => void> = {
      ArrowLeft: () => this.#stage.nudge(-6, 0),
      ArrowRight: () => this.#stage.nudge(6, 0),
      ArrowUp: () => this.#stage.nudge(0, -6),
      ArrowDown: () => this.#stage.nudge(0, 6),
      '+': () => this.#stage.nudge(0, 0, 0.9),
      '=': () => this.#stage.nudge(0, 0, 0.9),
      '-': () => this.#stage.nudge(0, 0, 1.1),
      '1': () => this.#toolbar.setMode('splats'),
      '2': () => this.#toolbar.setMode('mesh'),
      '3': () => this.#toolbar.setMode('both'),
      '4': () => this.#toolbar.setMode('wireframe'),
      f: () => this.#frameAll(),
      p: () => this.#toolbar.pressPhoto(),
      t: () => this.#toolbar.pressTurn(),
      s: () => void this.#screenshot(),
    };
    this.#picture.addEventListener('keydown', (e) => {
      const act = keys[e.key];
      if (!act || e.ctrlKey || e.metaKey || e.altKey) return;
      e.preventDefault();
      act();
    });
  }

  /** Mark the object under the pointer. Meshes answer even while only splats are shown. */
  #pick(event: PointerEvent): void {
    const frame = this.#stage.canvas.getBoundingClientRect();
    const at = new Vector2(
      (2 * (event.clientX - frame.left)) / frame.width - 1,
      1 - (2 * (event.clientY - frame.top)) / frame.height,
    );
    const ray = new Raycaster();
    ray.setFromCamera(at, this.#stage.camera);
    const shown = this.#nodes.filter((n) => !n.hidden);
    const hit = ray.intersectObjects(shown.map((n) => n.group), true)[0];
    const node = shown.find((n) => hit && isInside(hit.object, n.group));
    this.#list.mark(node?.about.index ?? null);
  }
}

function isInside(object: { parent: unknown } | null, group: unknown): boolean {
  for (let at: unknown = object; at; at = (at as { parent: unknown }).parent) {
    if (at === group) return true;
  }
  return false;
}
