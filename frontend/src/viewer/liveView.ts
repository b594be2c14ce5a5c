import { Box3, GridHelper, Matrix4, Mesh, Raycaster, Vector2, Vector3, type Object3D } from 'three';

import { h, save } from '../ui/dom';
import { percent } from '../ui/format';
import { Backdrop } from './backdrop';
import { ObjectList } from './objectList';
import { ObjectNode, type Mode } from './objects';
import type { SceneObject } from './manifest';
import { Room } from './room';
import type { Source } from './source';
import { Stage } from './stage';
import { Toolbar } from './toolbar';

const CLICK_PX = 5; // a press that moves less is a click, not a turn
const TOOLBAR_GAP = 10; // pixels above the toolbar that stay free
const AT_ONCE = 2; // files that are prepared at the same time

/** The scene drawn in 3D, and what one can do with it. */
export class LiveView {
  readonly list: ObjectList;
  /** Where files come from, what draws, and what is drawn: for an editor. */
  readonly source: Source;
  readonly stage: Stage;
  readonly picture: HTMLElement;
  /** Called with what was clicked, or nothing; its answer says that nobody else need care. */
  onPick: (node: ObjectNode | null, place: Vector3 | null) => boolean = () => false;
  /** Resolves once all files have come. */
  readonly loaded: Promise<void>;
  readonly #toolbar: Toolbar;
  readonly #backdrop: Backdrop;
  readonly #room: Room | null;
  readonly nodes: ObjectNode[];
  readonly #sceneFromCamera: Matrix4;
  readonly #status: HTMLElement;
  readonly #onState: (state: 'partial' | 'ready') => void;
  #mode: Mode = 'splats';
  #moving = false;
  #standIns = false; // meshes are shown in the place of splats
  #roomWanted = true;
  #grid: GridHelper | null = null;
  #started = false; // something can be seen
  #touched = false; // the user chose a view: arriving objects no longer change it
  #disposed = false;

  /** @throws Error with a sentence for the user where nothing can be drawn. */
  constructor(host: HTMLElement, source: Source, onState: (state: 'partial' | 'ready') => void) {
    this.source = source;
    this.#onState = onState;
    const { manifest } = source;
    this.#sceneFromCamera = new Matrix4().fromArray(manifest.scene_from_camera.flat()).transpose();
    this.picture = h('div', {
      class: 'picture', tabindex: 0, role: 'application',
      'aria-label': 'The scene in 3D. Drag to turn; arrow keys turn, plus and minus come closer.',
    });
    host.append(this.picture);
    this.stage = new Stage(this.picture, {
      intrinsics: manifest.camera, sceneFromCamera: this.#sceneFromCamera,
      splats: manifest.objects.reduce((sum, o) => sum + o.gaussians, 0),
    });
    this.stage.canvas.setAttribute('aria-hidden', 'true');
    this.#status = h('p', { class: 'viewer-status', role: 'status' }, 'Loading…');
    this.picture.append(this.#status);
    this.#backdrop = new Backdrop(manifest.camera, this.#sceneFromCamera);
    this.nodes = manifest.objects.map((about) => new ObjectNode(about));
    this.stage.scene.add(this.#backdrop.group, ...this.nodes.map((n) => n.group));
    this.#room = Room.isIn(manifest) ? new Room() : null;
    if (this.#room) this.stage.scene.add(this.#room.group);
    this.list = new ObjectList(manifest, {
      show: (hidden) => {
        for (const node of this.nodes) node.hidden = hidden.has(node.about.index);
        this.#show();
      },
      focus: (index) => this.#focus(index),
    });
    this.#toolbar = new Toolbar({
      mode: (mode) => {
        this.#mode = mode;
        this.stage.setSharp(mode === 'mesh' || mode === 'wireframe');
        this.#show();
      },
      photo: (on) => this.#showPhoto(on),
      room: (on) => this.#showRoom(on),
      turn: (on) => (this.stage.turning = on),
      background: (color) => this.stage.setBackground(color),
      frame: () => this.#frameAll(),
      screenshot: () => void this.#screenshot(),
      full: () => void this.#toggleFullScreen(),
    });
    host.append(this.#toolbar.element);
    if (this.#room) this.#toolbar.offerRoom();
    this.stage.onFrame = () => {
      this.#endStandIns();
      this.stage.setCovered(this.#toolbar.element.offsetHeight + TOOLBAR_GAP);
      if (this.#backdrop.group.visible) {
        this.#backdrop.fade(this.stage.camera, this.stage.bounds.center);
      }
      for (const node of this.nodes) {
        node.fitLines(this.stage.camera, this.picture.clientHeight);
      }
      const photo = this.#backdrop.group.visible;
      this.#toolbar.reflect({ photo, room: this.#roomShown, turn: this.stage.turning });
    };
    // Splats take a processor a second a picture, meshes a tenth of that: they move in their place.
    if (this.stage.software) this.stage.onMotion = (moving) => this.#show(moving);
    this.stage.onLost = () =>
      this.#say('The graphics card stopped drawing. Reload the page to see the scene again.');
    this.#toolbar.setMode('splats');
    this.#listen();
    this.loaded = this.#load();
  }

  /** One more object, which comes as the others do. Rejects with a sentence for the user. */
  async add(about: SceneObject): Promise<ObjectNode> {
    const node = new ObjectNode(about);
    this.nodes.push(node);
    this.stage.scene.add(node.group);
    await node.loadMesh(this.source, this.stage.environment);
    await node.loadSplats(this.source, this.stage.levels, () => {});
    this.changed();
    return node;
  }

  /** Objects were moved, hidden or painted. */
  changed(): void {
    const box = this.#box(this.nodes);
    box.union(new Box3().setFromCenterAndSize(
      this.stage.bounds.center, new Vector3().setScalar(1.1 * this.stage.bounds.radius),
    ));
    this.stage.setBounds(box);
    this.#show();
  }

  /** Look at everything, from the photo's side. */
  showAll(): void {
    this.#touched = true;
    this.#frameAll();
  }

  /** An object is being dragged: draw what can be drawn quickly. */
  dragging(on: boolean): void {
    this.stage.lockCamera(on);
    if (this.stage.software) this.#show(on);
  }

  say(text: string): void {
    this.#say(text);
  }

  /**
   * What lies under a place of the window. Meshes answer even while only splats are shown; what is
   * on no object is on the room behind them, where there is one to be seen.
   */
  at(x: number, y: number): { node: ObjectNode | null; place: Vector3 | null } {
    const frame = this.stage.canvas.getBoundingClientRect();
    const ray = new Raycaster();
    ray.setFromCamera(new Vector2(
      (2 * (x - frame.left)) / frame.width - 1, 1 - (2 * (y - frame.top)) / frame.height,
    ), this.stage.camera);
    const visibleNodes = this.nodes.filter((n) => !n.hidden);
    const hit = ray.intersectObjects(visibleNodes.map((n) => n.group), true)
      .find((each) => each.object instanceof Mesh && each.object.name !== 'volume');
    const node = visibleNodes.find((n) => hit && isInside(hit.object, n.group));
    const behind = this.#room && this.#roomShown ? ray.intersectObject(this.#room.group, true)[0] : undefined;
    return { node: node ?? null, place: (node ? hit : behind)?.point ?? null };
  }

  dispose(): void {
    this.#disposed = true;
    for (const node of this.nodes) node.dispose();
    this.#backdrop.dispose();
    this.#room?.dispose();
    this.stage.dispose();
  }

  /**
   * Meshes first: they are small and make the first picture. Then splats, the smallest first, so
   * that as many objects as possible are complete early.
   */
  async #load(): Promise<void> {
    const failures: string[] = [];
    const attempt = async (what: Promise<void>) => {
      try {
        await what;
      } catch (error) {
        failures.push(error instanceof Error ? error.message : String(error));
      }
      this.#arrived();
    };
    const meshes = this.nodes.map((node) => node.loadMesh(this.source, this.stage.environment));
    if (this.#room) meshes.push(this.#room.load(this.source));
    await Promise.all(meshes.map(attempt));

    const waiting = [...this.nodes].sort((a, b) => a.about.gaussians - b.about.gaussians);
    const total = Math.max(1, waiting.reduce((sum, node) => sum + node.about.gaussians, 0));
    let done = 0;
    const work = async () => {
      for (let node = waiting.shift(); node && !this.#disposed; node = waiting.shift()) {
        this.#say(`Loading splats, ${percent(done / total)}`);
        await attempt(node.loadSplats(this.source, this.stage.levels, () => this.#arrived()));
        done += node.about.gaussians;
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
    if (this.#disposed) return;
    if (!this.#started && failures.length === 0) failures.push('This scene holds no shapes.');
    this.#say(failures.join(' '));
    await this.stage.settled();
    this.#onState('ready');
  }

  /** Something of an object has come. */
  #arrived(): void {
    const box = this.#box(this.nodes);
    if (this.#disposed || box.isEmpty()) return;
    this.stage.setBounds(box);
    const sphere = this.stage.bounds;
    const eye = new Vector3().setFromMatrixPosition(this.#sceneFromCamera);
    this.#backdrop.place(eye.distanceTo(sphere.center) + 1.5 * sphere.radius);
    this.#show();
    if (!this.#touched) this.#open();
    if (!this.#started) this.#onState('partial');
    this.#started = true;
  }

  #show(moving = false): void {
    this.#moving = moving;
    this.#standIns = this.#mode === 'splats' && (moving || this.#standIns);
    this.#showNodes();
    if (this.#room) this.#room.group.visible = this.#roomShown;
    if (moving) this.stage.invalidate();
    else void this.stage.refresh();
  }

  #showNodes(): void {
    const mode = this.#standIns && this.#moving ? 'mesh' : this.#mode;
    for (const node of this.nodes) node.show(mode, this.#standIns);
  }

  /** Splats need a while until they are sorted; what stood in for them goes with the picture that has them. */
  #endStandIns(): void {
    if (!this.#standIns || this.#moving || this.stage.drawnSplats === 0) return;
    this.#standIns = false;
    this.#showNodes();
  }

  /** The picture that a scene opens with: the photo's own where there is a room around it. */
  #open(): void {
    if (this.#roomShown) this.stage.standAt(this.#sceneFromCamera, false);
    else this.#frameAll(false);
  }

  /** Lines and the photo itself would be lost before or behind a room. */
  get #roomShown(): boolean {
    const fits = this.#mode !== 'wireframe' && !this.#backdrop.group.visible;
    return this.#roomWanted && fits && this.#room?.loaded === true;
  }

  #showRoom(on: boolean): void {
    this.#roomWanted = on;
    if (on) this.#leavePhoto();
    this.#show();
  }

  #box(nodes: ObjectNode[]): Box3 {
    const box = new Box3();
    for (const node of nodes) if (node.loaded) box.union(node.bounds());
    return box;
  }

  /** From the photo's side, a little to the right and from above. */
  #frameAll(animate = true): void {
    this.#leavePhoto();
    const visibleNodes = this.nodes.filter((n) => !n.hidden);
    const box = this.#box(visibleNodes.length ? visibleNodes : this.nodes);
    if (!box.isEmpty()) this.stage.frame(box, this.#viewDirection(), animate);
  }

  #focus(index: number): void {
    const node = this.nodes.find((n) => n.about.index === index);
    this.list.mark(index);
    this.#touched = true;
    if (!node?.loaded) return;
    this.#leavePhoto();
    this.stage.frame(node.bounds(), this.#viewDirection());
  }

  #viewDirection(): Vector3 {
    return new Vector3(0.38, 0.3, 1).transformDirection(this.#sceneFromCamera);
  }

  #showPhoto(on: boolean): void {
    if (!on) {
      this.#frameAll();
      return;
    }
    void this.source
      .url('input.png')
      .then((url) => this.#backdrop.load(url))
      .then(() => {
        if (this.#disposed) return;
        this.#backdrop.group.visible = true;
        this.#show();
        this.stage.standAt(this.#sceneFromCamera);
      })
      .catch(() => this.#say('The photo could not be loaded.'));
  }

  /** From the photo's own camera: the scene alone, 0, to the photo alone, 1. */
  mixPhoto(share: number): void {
    this.#backdrop.mix(share);
    if (!this.#backdrop.group.visible) this.#showPhoto(true);
    this.stage.invalidate();
  }

  /** A grid at the height of the lowest point, about as wide as the scene. */
  showGrid(on: boolean): void {
    this.#grid?.removeFromParent();
    this.#grid?.dispose();
    this.#grid = null;
    const box = this.#box(this.nodes);
    if (on && !box.isEmpty()) {
      const side = 4 * this.stage.bounds.radius;
      const cell = 10 ** Math.floor(Math.log10(side / 4)); // in steps that people count in
      const cells = 2 * Math.ceil(side / cell / 2);
      this.#grid = new GridHelper(cells * cell, cells, 0x4353d9, 0x8b9098);
      const { x, z } = this.stage.bounds.center;
      this.#grid.position.set(x, box.min.y, z);
      this.stage.scene.add(this.#grid);
    }
    this.stage.invalidate();
  }

  #leavePhoto(): void {
    if (!this.#backdrop.group.visible) return;
    this.#backdrop.mix(0);
    this.#backdrop.group.visible = false;
    this.#show();
  }

  async #screenshot(): Promise<void> {
    save(await this.stage.picture(), 'scene.png');
  }

  async #toggleFullScreen(): Promise<void> {
    if (document.fullscreenElement) await document.exitFullscreen();
    else await this.picture.parentElement?.requestFullscreen();
  }

  #say(text: string): void {
    this.#status.textContent = text;
    this.#status.hidden = text === '';
  }

  #listen(): void {
    let press: { x: number; y: number } | null = null;
    for (const kind of ['pointerdown', 'wheel', 'keydown', 'click']) {
      this.picture.parentElement?.addEventListener(kind, () => (this.#touched = true), { passive: true });
    }
    this.picture.addEventListener('pointerdown', (e) => (press = { x: e.clientX, y: e.clientY }));
    this.picture.addEventListener('pointerup', (e) => {
      if (press && Math.hypot(e.clientX - press.x, e.clientY - press.y) < CLICK_PX) this.#pick(e);
      press = null;
    });
    const keys: Record<string, () => void> = {
      ArrowLeft: () => this.stage.nudge(-6, 0),
      ArrowRight: () => this.stage.nudge(6, 0),
      ArrowUp: () => this.stage.nudge(0, -6),
      ArrowDown: () => this.stage.nudge(0, 6),
      '+': () => this.stage.nudge(0, 0, 0.9),
      '=': () => this.stage.nudge(0, 0, 0.9),
      '-': () => this.stage.nudge(0, 0, 1.1),
      '1': () => this.#toolbar.setMode('splats'),
      '2': () => this.#toolbar.setMode('mesh'),
      '3': () => this.#toolbar.setMode('both'),
      '4': () => this.#toolbar.setMode('wireframe'),
      f: () => this.#frameAll(),
      p: () => this.#toolbar.pressPhoto(),
      b: () => this.#toolbar.pressRoom(),
      t: () => this.#toolbar.pressTurn(),
      s: () => void this.#screenshot(),
    };
    this.picture.addEventListener('keydown', (e) => {
      const act = keys[e.key];
      if (!act || e.ctrlKey || e.metaKey || e.altKey) return;
      e.preventDefault();
      act();
    });
  }

  /** Mark the object under the pointer. */
  #pick(event: PointerEvent): void {
    const { node, place } = this.at(event.clientX, event.clientY);
    if (!this.onPick(node, place)) this.list.mark(node?.about.index ?? null);
  }
}

function isInside(object: Object3D, group: Object3D): boolean {
  for (let at: Object3D | null = object; at; at = at.parent) if (at === group) return true;
  return false;
}
