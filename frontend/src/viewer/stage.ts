import { SparkRenderer } from '@sparkjsdev/spark';
import {
  Box3,
  Color,
  DirectionalLight,
  HemisphereLight,
  Matrix4,
  PerspectiveCamera,
  Scene,
  Sphere,
  Vector3,
  WebGLRenderer,
} from 'three';
import { OrbitControls } from 'three/addons/controls/OrbitControls.js';

import { DetailBudget, drawsInSoftware, LEVELS_ABOVE } from './detail';
import { Environment } from './environment';
import type { Camera } from './manifest';
import { differs, fitDistance, opening, photoProjection, type Size } from './projection';

const TURN_SECONDS = 16; // one turn of the turntable
const FLIGHT_MS = 450;
const REST_MS = 400; // without motion, then details are filled in
const MARGIN = 1.02; // around what `frame` shows

interface Flight {
  from: { eye: Vector3; target: Vector3 };
  to: { eye: Vector3; target: Vector3 };
  start: number;
}

export interface StageOptions {
  /** The photo's camera and its pose. */
  intrinsics: Camera;
  sceneFromCamera: Matrix4;
  /** How many splats the scene has. */
  splats: number;
}

/**
 * Renderer, camera and controls. Draws only when something changed: a viewer that is left open
 * must not keep a GPU busy.
 */
export class Stage {
  readonly scene = new Scene();
  readonly camera = new PerspectiveCamera();
  readonly canvas = document.createElement('canvas');
  /** Whether the processor draws, because there is no graphics card. */
  readonly software: boolean;
  /** Whether splats are to be loaded with levels of detail. */
  readonly levels: boolean;
  /** Called before each picture. */
  onFrame: () => void = () => {};
  /** Called when the view starts to move, and when it has come to rest. */
  onMotion: (moving: boolean) => void = () => {};
  /** The graphics card gave up; nothing is drawn any more. */
  onLost: () => void = () => {};

  /** Light for materials that reflect. */
  readonly environment: Environment;

  readonly #host: HTMLElement;
  readonly #renderer: WebGLRenderer;
  readonly #spark: SparkRenderer;
  readonly #controls: OrbitControls;
  readonly #resizes: ResizeObserver;
  readonly #intrinsics: Camera;
  readonly #photoEye: Vector3;
  readonly #budget: DetailBudget;
  #bounds = new Sphere(new Vector3(0, 0, -1), 1);
  #covered = 0;
  #sharp = false;
  #scheduled = 0;
  #movedAt = 0; // when the last picture was drawn, if it had moved
  #moving = false;
  #moves = 0;
  #rest = 0;
  #flight: Flight | null = null;
  #turning = false;
  #lastTurn = 0;
  #disposed = false;

  /** @throws Error with a sentence for the user where there is no WebGL 2. */
  constructor(host: HTMLElement, { intrinsics, sceneFromCamera, splats }: StageOptions) {
    // Spark asks for no multisampling: it does nothing for splats and costs a lot.
    const context = this.canvas.getContext('webgl2', { antialias: false, alpha: true });
    if (!context) {
      throw new Error(
        'This browser cannot draw 3D here: it offers no WebGL 2. Switch on hardware ' +
          'acceleration in its settings, or open this page in a current Chrome, Edge, Firefox or Safari.',
      );
    }
    this.#host = host;
    this.#intrinsics = intrinsics;
    this.software = drawsInSoftware(context);
    this.#budget = new DetailBudget(this.software);
    this.levels = splats > LEVELS_ABOVE;
    this.#renderer = new WebGLRenderer({ canvas: this.canvas, context });
    this.environment = new Environment(this.#renderer);
    this.canvas.addEventListener('webglcontextlost', () => {
      if (!this.#disposed) this.onLost();
    });
    host.append(this.canvas);
    this.#spark = new SparkRenderer({
      renderer: this.#renderer,
      lodSplatCount: this.#budget.inMotion,
      // 16-bit places would be off by half a pixel at the photo's camera; large scenes are
      // looked at from farther away, and their memory counts.
      accumExtSplats: !this.levels,
      onDirty: () => this.invalidate(),
    });
    this.scene.add(this.#spark);
    const head = new DirectionalLight(0xffffff, 1.1);
    head.position.set(0.4, 0.6, 1);
    this.camera.add(head);
    this.scene.add(this.camera, new HemisphereLight(0xffffff, 0xb8b4ae, 2.2));

    this.camera.up.set(0, 1, 0);
    this.#photoEye = new Vector3().setFromMatrixPosition(sceneFromCamera);
    this.camera.position.copy(this.#photoEye);
    this.#controls = new OrbitControls(this.camera, this.canvas);
    this.#controls.addEventListener('change', () => this.invalidate());
    this.#controls.addEventListener('start', () => (this.#flight = null));
    this.#resizes = new ResizeObserver(() => this.#resize());
    this.#resizes.observe(host);
    this.#resize();
  }

  /** Draw again soon. */
  invalidate(): void {
    if (this.#disposed || this.#scheduled) return;
    this.#scheduled = requestAnimationFrame((time) => {
      this.#scheduled = 0;
      this.#draw(time);
    });
  }

  /** Resolves when the picture shows all that was asked for, splats sorted. */
  async settled(): Promise<void> {
    this.invalidate();
    const busy = () =>
      this.#moving || this.#scheduled || this.#spark.dirty || this.#spark.sorting || this.#spark.sortDirty;
    while (!this.#disposed && busy()) await new Promise((resolve) => setTimeout(resolve, 50));
  }

  /**
   * Draw until what was shown or hidden has reached the picture. Splats are sorted in between, and
   * their renderer takes up a change only with a picture that follows it.
   */
  async refresh(): Promise<void> {
    await this.settled();
    await this.settled();
    this.invalidate();
  }

  /** How many splats the next picture has: those that were sorted last. */
  get drawnSplats(): number {
    return this.#spark.activeSplats;
  }

  /** What is to be seen: sets clipping planes and the distances of `frame`. */
  setBounds(box: Box3): void {
    if (box.isEmpty()) return;
    box.getBoundingSphere(this.#bounds);
    this.#bounds.radius = Math.max(this.#bounds.radius, 1e-6);
    const photo = this.#photoEye.distanceTo(this.#bounds.center);
    this.#controls.minDistance = Math.min(this.#bounds.radius * 0.1, photo / 2);
    this.#controls.maxDistance = Math.max(this.#bounds.radius * 40, photo * 2);
    this.#resize();
  }

  get bounds(): Sphere {
    return this.#bounds;
  }

  /** Pixels at the bottom that something else covers: the picture is centred above them. */
  setCovered(pixels: number): void {
    if (pixels === this.#covered) return;
    this.#covered = pixels;
    this.#resize();
  }

  /** Leave the camera alone while something else is dragged. */
  lockCamera(locked: boolean): void {
    this.#controls.enabled = !locked;
  }

  /** Draw with four samples a pixel at least: what surfaces and lines need, and splats do not. */
  setSharp(on: boolean): void {
    if (on === this.#sharp) return;
    this.#sharp = on;
    this.#resize();
  }

  setBackground(color: string | null): void {
    this.scene.background = color === null ? null : new Color(color);
    this.invalidate();
  }

  set turning(on: boolean) {
    this.#turning = on;
    this.#lastTurn = 0;
    if (on) this.#controls.target.copy(this.#bounds.center);
    this.invalidate();
  }

  get turning(): boolean {
    return this.#turning;
  }

  /** Move so that a box fills the picture, seen from `direction` (from the box to the eye). */
  frame(box: Box3, direction: Vector3, animate = true): void {
    const centre = box.getCenter(new Vector3());
    const axes = new Matrix4().lookAt(direction, new Vector3(), this.camera.up);
    const turn = axes.clone().transpose();
    const corners = [...Array(8).keys()].map((k) => {
      const corner = new Vector3(
        k & 1 ? box.min.x : box.max.x, k & 2 ? box.min.y : box.max.y, k & 4 ? box.min.z : box.max.z,
      );
      const { x, y, z } = corner.sub(centre).multiplyScalar(MARGIN).applyMatrix4(turn);
      return [x, y, z] as const;
    });
    const view = opening(this.camera.projectionMatrix.elements, this.#size(), this.#covered);
    const distance = Math.max(fitDistance(corners, view), this.#controls.minDistance);
    this.#fly(direction.clone().setLength(distance).add(centre), centre, animate);
  }

  /** Move the eye to where the photo was taken from, looking as the photo does. */
  standAt(sceneFromCamera: Matrix4, animate = true): void {
    const eye = new Vector3().setFromMatrixPosition(sceneFromCamera);
    const ahead = new Vector3(0, 0, -1).transformDirection(sceneFromCamera);
    const depth = this.#bounds.center.clone().sub(eye).dot(ahead);
    this.camera.up.set(0, 1, 0).transformDirection(sceneFromCamera);
    this.#fly(eye, eye.clone().addScaledVector(ahead, Math.max(depth, this.camera.near)), animate);
  }

  /** Orbit by angles in degrees, or come closer (factor below 1): what keys do. */
  nudge(yaw: number, pitch: number, factor = 1): void {
    this.#flight = null;
    const target = this.#controls.target;
    const offset = this.camera.position.clone().sub(target).multiplyScalar(factor);
    const right = new Vector3().crossVectors(this.camera.up, offset).normalize();
    offset.applyAxisAngle(this.camera.up, (yaw * Math.PI) / 180);
    offset.applyAxisAngle(right, (pitch * Math.PI) / 180);
    this.camera.position.copy(target).add(offset);
    this.invalidate();
  }

  /** The picture as shown, as PNG; of so many pixels across where a width is given. */
  async picture(width?: number): Promise<Blob> {
    const ratio = this.#renderer.getPixelRatio();
    if (width) this.#renderer.setPixelRatio(width / this.#size().width);
    // The drawing buffer is only sure to hold the picture in the task that drew it.
    this.#renderer.render(this.scene, this.camera);
    const copy = document.createElement('canvas');
    [copy.width, copy.height] = [this.canvas.width, this.canvas.height];
    const context = copy.getContext('2d');
    if (!context) throw new Error('No picture.');
    context.filter = this.canvas.style.filter || 'none';
    context.drawImage(this.canvas, 0, 0);
    if (width) {
      this.#renderer.setPixelRatio(ratio);
      this.invalidate();
    }
    return new Promise((resolve, reject) =>
      copy.toBlob((blob) => (blob ? resolve(blob) : reject(new Error('No picture.')))),
    );
  }

  /** Brighter or darker than it is; 1 is as it is. Splats hold their light, so the picture is changed. */
  setBrightness(factor: number): void {
    this.canvas.style.filter = factor === 1 ? '' : `brightness(${factor})`;
  }

  /** Where the eye is, what it looks at, and what is up, as nine numbers. */
  get viewpoint(): number[] {
    return [...this.camera.position.toArray(), ...this.#controls.target.toArray(), ...this.camera.up.toArray()];
  }

  /** Go to a viewpoint of before. */
  lookFrom(viewpoint: readonly number[] | null): void {
    if (!viewpoint) return;
    this.camera.up.fromArray(viewpoint.slice(6));
    this.#fly(new Vector3().fromArray(viewpoint), new Vector3().fromArray(viewpoint.slice(3)), true);
  }

  dispose(): void {
    this.#disposed = true;
    cancelAnimationFrame(this.#scheduled);
    clearTimeout(this.#rest);
    this.#resizes.disconnect();
    this.#controls.dispose();
    this.canvas.remove();
    void this.#release();
  }

  async #release(): Promise<void> {
    // Spark rejects what its workers are at, where nobody catches it.
    const busy = () => this.#spark.sorting || this.#spark.lodWorker?.queue;
    for (let waits = 0; busy() && waits < 100; waits++) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    this.#spark.dispose();
    this.environment.dispose();
    this.#renderer.dispose();
    this.#renderer.forceContextLoss();
  }

  #fly(eye: Vector3, target: Vector3, animate: boolean): void {
    this.turning = false;
    const still = matchMedia('(prefers-reduced-motion: reduce)').matches;
    if (!animate || still) {
      this.#flight = null;
      this.camera.position.copy(eye);
      this.#controls.target.copy(target);
    } else {
      const from = { eye: this.camera.position.clone(), target: this.#controls.target.clone() };
      this.#flight = { from, to: { eye, target }, start: performance.now() };
    }
    this.invalidate();
  }

  #advance(time: number): void {
    if (this.#flight) {
      const { from, to, start } = this.#flight;
      const t = Math.min(1, Math.max(0, (time - start) / FLIGHT_MS));
      const eased = t * t * (3 - 2 * t);
      this.camera.position.lerpVectors(from.eye, to.eye, eased);
      this.#controls.target.lerpVectors(from.target, to.target, eased);
      if (t === 1) this.#flight = null;
      this.invalidate();
    }
    if (this.#turning) {
      const seconds = this.#lastTurn ? Math.min(0.1, (time - this.#lastTurn) / 1000) : 0;
      this.nudge((360 * seconds) / TURN_SECONDS, 0);
      this.#lastTurn = time;
    }
  }

  #draw(time: number): void {
    if (this.#disposed) return;
    const before = this.camera.matrixWorld.clone();
    this.#advance(time);
    this.#controls.update();
    this.camera.updateMatrixWorld();
    this.#followMotion(time, differs(before.elements, this.camera.matrixWorld.elements));
    this.onFrame();
    this.#renderer.render(this.scene, this.camera);
  }

  /** Fewer details in motion, all of them at rest. */
  #followMotion(time: number, moved: boolean): void {
    if (moved && this.#movedAt) this.#budget.observe(time - this.#movedAt);
    this.#movedAt = moved ? time : 0;
    if (!moved) return;
    if (!this.#moving) this.onMotion((this.#moving = true));
    this.#spark.lodSplatCount = this.#budget.inMotion;
    clearTimeout(this.#rest);
    const move = ++this.#moves;
    // A picture may take longer than the pause: there is none while the next one still moves.
    this.#rest = window.setTimeout(() => requestAnimationFrame(() => {
      if (move === this.#moves && !this.#disposed) this.#comeToRest();
    }), REST_MS);
  }

  #comeToRest(): void {
    this.onMotion((this.#moving = false));
    this.#spark.lodSplatCount = this.#budget.atRest;
    this.invalidate();
  }

  #size(): Size {
    return {
      width: Math.max(1, this.#host.clientWidth), height: Math.max(1, this.#host.clientHeight),
    };
  }

  #resize(): void {
    const size = this.#size();
    const ratio = Math.min(devicePixelRatio, 2);
    this.#renderer.setPixelRatio(this.#sharp ? Math.max(ratio, 2) : ratio);
    this.#renderer.setSize(size.width, size.height);
    const { radius, center } = this.#bounds;
    this.camera.near = radius / 100;
    this.camera.far = Math.max(radius * 100, 4 * this.#photoEye.distanceTo(center));
    this.camera.aspect = size.width / size.height;
    const { matrix, fov } = photoProjection(
      this.#intrinsics, size, this.camera.near, this.camera.far, this.#covered,
    );
    this.camera.fov = fov; // read by the controls and by spark
    this.camera.projectionMatrix.fromArray(matrix);
    this.camera.projectionMatrixInverse.copy(this.camera.projectionMatrix).invert();
    this.invalidate();
  }
}
