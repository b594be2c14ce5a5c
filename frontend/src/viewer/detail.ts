const LEAST = 30_000;
const MOST = 1_500_000;
const SLOW_MS = 60; // between two pictures in motion; slower feels like stuttering
const FAST_MS = 25;
const SETTLE = 3; // pictures that a new number is given before it is judged

/**
 * How many splats to draw at once of a scene with levels of detail, so that turning stays smooth:
 * on a graphics card more than a million, on a processor that stands in for one fewer.
 */
export class DetailBudget {
  #inMotion: number;
  #judged = 0;
  #slowest = 0;

  constructor(start = 200_000) {
    this.#inMotion = start;
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
