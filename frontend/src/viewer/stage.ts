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

import type { Camera } from './manifest';
import { photoProjection } from './projection';

const TURN_SECONDS = 16; // one turn of the turntable
const FLIGHT_MS = 450;

/** How many splats are drawn at once of a scene that needs levels of detail. */
const LOD_BUDGET = 500_000;

interface Flight {
  from: { eye: Vector3; target: Vector3 };
  to: { eye: Vector3; target: Vector3 };
  start: number;
}

/**
 * Renderer, camera and controls. Draws only when something changed: a viewer that is left open
 * must not keep a GPU busy.
 */
export class Stage {
  readonly scene = new Scene();
  readonly camera = new PerspectiveCamera();
  readonly canvas: HTMLCanvasElement;
  /** Called before each picture. */
  onFrame: () => void = () => {};

  readonly #renderer: WebGLRenderer;
  readonly #controls: OrbitControls;
  readonly #resizes: ResizeObserver;
  readonly #intrinsics: Camera;
  #bounds = new Sphere(new Vector3(0, 0, -1), 1);
  #scheduled = 0;
  #flight: Flight | null = null;
  #turning = false;
  #lastTime = 0;
  #disposed = false;

  constructor(host: HTMLElement, intrinsics: Camera, sceneFromCamera: Matrix4) {
    this.#intrinsics = intrinsics;
    // Spark asks for no multisampling: it does nothing for splats and costs a lot.
    this.#renderer = new WebGLRenderer({ antialias: false, alpha: true });
    this.canvas = this.#renderer.domElement;
    host.append(this.canvas);
    this.scene.add(
      new SparkRenderer({
        renderer: this.#renderer,
        lodSplatCount: LOD_BUDGET,
        onDirty: () => this.invalidate(),
      }),
    );
    const head = new DirectionalLight(0xffffff, 1.1);
    head.position.set(0.4, 0.6, 1);
    this.camera.add(head);
    this.scene.add(this.camera, new HemisphereLight(0xffffff, 0xb8b4ae, 2.2));

    this.camera.up.set(0, 1, 0);
    this.camera.position.setFromMatrixPosition(sceneFromCamera);
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

  /** What is to be seen: sets clipping planes and the distances of `frame`. */
  setBounds(box: Box3): void {
    if (box.isEmpty()) return;
    box.getBoundingSphere(this.#bounds);
    this.#controls.minDistance = this.#bounds.radius * 0.1;
    this.#controls.maxDistance = this.#bounds.radius * 40;
    this.#resize();
  }

  get bounds(): Sphere {
    return this.#bounds;
  }

  setBackground(color: string | null): void {
    this.scene.background = color === null ? null : new Color(color);
    this.invalidate();
  }

  set turning(on: boolean) {
    this.#turning = on;
    this.#lastTime = 0;
    if (on) this.#controls.target.copy(this.#bounds.center);
    this.invalidate();
  }

  get turning(): boolean {
    return this.#turning;
  }

  /** Move so that a sphere fills the picture, seen from `direction` (from the sphere to the eye). */
  frame(sphere: Sphere, direction: Vector3, animate = true): void {
    const { width, height } = this.#size();
    const fovY = (this.camera.fov * Math.PI) / 180;
    const fovX = 2 * Math.atan((Math.tan(fovY / 2) * width) / height);
    const distance = (0.92 * sphere.radius) / Math.sin(Math.min(fovX, fovY) / 2);
    const eye = direction.clone().setLength(distance).add(sphere.center);
    this.#fly(eye, sphere.center.clone(), animate);
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

  /** The picture as shown, as PNG. */
  async picture(): Promise<Blob> {
    // The drawing buffer is only sure to hold the picture in the task that drew it.
    this.#renderer.render(this.scene, this.camera);
    return new Promise((resolve, reject) =>
      this.canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error('No picture.')))),
    );
  }

  dispose(): void {
    this.#disposed = true;
    cancelAnimationFrame(this.#scheduled);
    this.#resizes.disconnect();
    this.#controls.dispose();
    this.#renderer.dispose();
    this.#renderer.forceContextLoss();
    this.canvas.remove();
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
      const seconds = this.#lastTime ? Math.min(0.1, (time - this.#lastTime) / 1000) : 0;
      this.nudge((360 * seconds) / TURN_SECONDS, 0);
      this.#lastTime = time;
    }
  }

  #draw(time: number): void {
    if (this.#disposed) return;
    this.#advance(time);
    this.#controls.update();
    this.onFrame();
    this.#renderer.render(this.scene, this.camera);
  }

  #size(): { width: number; height: number } {
    const host = this.canvas.parentElement;
    return { width: Math.max(1, host?.clientWidth ?? 1), height: Math.max(1, host?.clientHeight ?? 1) };
  }

  #resize(): void {
    const { width, height } = this.#size();
    this.#renderer.setPixelRatio(Math.min(devicePixelRatio, 2));
    this.#renderer.setSize(width, height);
    const radius = this.#bounds.radius;
    this.camera.near = radius / 100;
    this.camera.far = radius * 100;
    this.camera.aspect = width / height;
    const { matrix, fov } = photoProjection(
      this.#intrinsics, { width, height }, this.camera.near, this.camera.far,
    );
    this.camera.fov = fov; // read by the controls, and by `frame`
    this.camera.projectionMatrix.fromArray(matrix);
    this.camera.projectionMatrixInverse.copy(this.camera.projectionMatrix).invert();
    this.invalidate();
  }
}
