/** Scenes with more splats than this are drawn at levels of detail. */
export const LEVELS_ABOVE = 500_000;

const LEAST = 20_000;
const MOST = 1_500_000;
const START = 250_000;
const START_IN_SOFTWARE = 50_000; // a processor draws a picture of so many in half a second
const SLOW_MS = 60; // between two pictures in motion; slower feels like stuttering
const FAST_MS = 25;
const SETTLE = 3; // pictures that a new number is given before it is judged

/** How many splats to draw at once, so that turning stays smooth. */
export class DetailBudget {
  #inMotion: number;
  #judged = 0;
  #slowest = 0;

  constructor(software: boolean) {
    this.#inMotion = software ? START_IN_SOFTWARE : START;
  }

  get inMotion(): number {
    return this.#inMotion;
  }

  /** A picture that stands still may take longer. */
  get atRest(): number {
    return Math.min(MOST, 4 * this.#inMotion);
  }

  /** Judge the time between two pictures in motion. */
  observe(milliseconds: number): void {
    this.#judged += 1;
    this.#slowest = Math.max(this.#slowest, milliseconds);
    if (this.#judged < SETTLE) return;
    if (this.#slowest > SLOW_MS) {
      // Half at most: one hiccup must not blur everything.
      this.#inMotion *= Math.max(0.5, SLOW_MS / this.#slowest);
    } else if (this.#slowest < FAST_MS) this.#inMotion *= 1.25;
    this.#inMotion = Math.round(Math.min(MOST, Math.max(LEAST, this.#inMotion)));
    this.#judged = this.#slowest = 0;
  }
}

/** Whether this context draws on the processor. */
export function drawsInSoftware(gl: WebGL2RenderingContext): boolean {
  const info = gl.getExtension('WEBGL_debug_renderer_info');
  const name: unknown = gl.getParameter(info ? info.UNMASKED_RENDERER_WEBGL : gl.RENDERER);
  return /swiftshader|llvmpipe|software|basic render/i.test(String(name));
}
