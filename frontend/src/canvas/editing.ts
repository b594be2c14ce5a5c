import type { Box } from '../api/types';
import { Notice } from '../ui/notice';
import { area, joined, painted, parts, type Bits } from './bits';

/** A tap as the server takes it: what lies within 0…1 would be parts of the photo there. */
export function pointOf(x: number, y: number): [number, number] {
  return x <= 1 && y <= 1 ? [1.001, y] : [x, y];
}

/** A point on an object, or one beside it, in pixels of the photo. */
export interface Tap {
  x: number;
  y: number;
  positive: boolean;
}

/** An object with its mask. */
export interface Thing {
  readonly id: number;
  readonly label: string;
  /** The model's own words about it. */
  readonly detail: string;
  readonly included: boolean;
  /** Its number among those that were found, while its mask is the one that was found. */
  readonly index: number | null;
  readonly bits: Bits;
  /** What clicks start from: a mask, or a box, or nothing. */
  readonly base: Bits | null;
  readonly box: Box | null;
  readonly taps: readonly Tap[];
}

interface State {
  readonly things: readonly Thing[];
  readonly selected: number | null;
}

export interface MaskRequest {
  taps: readonly Tap[];
  box: Box | null;
  base: Bits | null;
}

const MOST_STEPS = 60;
/** A mask of less than this share of the photo is a slip. */
const LEAST = 2e-5;

/** Objects that are clicked, painted, named, merged and split, with undo and redo. */
export class Editing {
  #state: State;
  #past: State[] = [];
  #future: State[] = [];
  #next = 0;
  #work: Promise<void> = Promise.resolve();
  #waiting = 0;
  readonly #cut: (request: MaskRequest) => Promise<Bits>;
  readonly #onChange: () => void;

  /** `cut` gives the mask of what was clicked. */
  constructor(
    things: readonly Omit<Thing, 'id'>[], cut: (request: MaskRequest) => Promise<Bits>, onChange: () => void,
  ) {
    this.#state = { things: things.map((thing) => ({ ...thing, id: this.#next++ })), selected: null };
    this.#cut = cut;
    this.#onChange = onChange;
  }

  get things(): readonly Thing[] {
    return this.#state.things;
  }

  get selected(): Thing | null {
    return this.things.find((thing) => thing.id === this.#state.selected) ?? null;
  }

  /** Clicks whose masks are on their way. */
  get waiting(): number {
    return this.#waiting;
  }

  get canUndo(): boolean {
    return this.#past.length > 0;
  }

  get canRedo(): boolean {
    return this.#future.length > 0;
  }

  /** Done when every click so far has its mask. */
  settled(): Promise<void> {
    return this.#work;
  }

  undo(): void {
    const before = this.#past.pop();
    if (!before) return;
    this.#future.push(this.#state);
    this.#state = before;
    this.#onChange();
  }

  redo(): void {
    const after = this.#future.pop();
    if (!after) return;
    this.#past.push(this.#state);
    this.#state = after;
    this.#onChange();
  }

  select(id: number | null): void {
    this.#state = { ...this.#state, selected: id };
    this.#onChange();
  }

  toggle(id: number): void {
    this.#replace(id, (thing) => ({ ...thing, included: !thing.included }));
  }

  rename(id: number, label: string): void {
    this.#replace(id, (thing) => ({ ...thing, label }));
  }

  remove(id: number): void {
    this.#commit({ things: this.things.filter((thing) => thing.id !== id), selected: null });
  }

  /** A click on the selected object, or on a new one. Rejects where it has no answer. */
  tap(tap: Tap): Promise<void> {
    return this.#ask(async () => {
      const thing = this.selected;
      if (!thing) {
        if (!tap.positive) return;
        const bits = await this.#cut({ taps: [tap], box: null, base: null });
        this.#add(bits, { taps: [tap] });
        return;
      }
      const taps = [...thing.taps, tap];
      const bits = await this.#cut({ taps, box: thing.box, base: thing.base });
      this.#replace(thing.id, (now) => ({ ...now, bits, taps, index: null }));
    });
  }

  /** A new object in a box. */
  box(box: Box): Promise<void> {
    return this.#ask(async () => {
      this.#add(await this.#cut({ taps: [], box, base: null }), { box });
    });
  }

  /** Paint over the selected object, or a new one. */
  paint(where: Bits, inside: boolean): void {
    const thing = this.selected;
    if (thing) this.#replace(thing.id, (now) => redrawn(now, painted(now.bits, where, inside)));
    else if (inside) this.#add(where, { base: where });
  }

  merge(id: number, other: number): void {
    const [a, b] = [id, other].map((key) => this.things.find((thing) => thing.id === key));
    if (!a || !b) return;
    const things = this.things
      .filter((thing) => thing.id !== other)
      .map((thing) => (thing.id === id ? redrawn(thing, joined(a.bits, b.bits)) : thing));
    this.#commit({ things, selected: id });
  }

  /** Make an object of every part that hangs together; false where there is one only. */
  split(id: number): boolean {
    const thing = this.things.find((t) => t.id === id);
    const pieces = thing ? parts(thing.bits) : [];
    if (!thing || pieces.length < 2) return false;
    const apart = pieces.map((bits, k) => ({ ...redrawn(thing, bits), id: k ? this.#next++ : thing.id }));
    const at = this.things.indexOf(thing);
    this.#commit({
      things: [...this.things.slice(0, at), ...apart, ...this.things.slice(at + 1)], selected: null,
    });
    return true;
  }

  /** One after another: each starts from what the one before left. */
  #ask(work: () => Promise<void>): Promise<void> {
    this.#waiting += 1;
    this.#onChange();
    const done = this.#work.then(work).finally(() => {
      this.#waiting -= 1;
      this.#onChange();
    });
    this.#work = done.catch(() => {});
    return done;
  }

  #add(bits: Bits, from: Partial<Thing>): void {
    if (area(bits) <= LEAST * bits.data.length) throw new Notice('Nothing was found there. Draw a box around it, or paint it.');
    const id = this.#next++;
    const thing = {
      id, label: '', detail: '', included: true, index: null, bits, base: null, box: null, taps: [], ...from,
    };
    this.#commit({ things: [...this.things, thing], selected: id });
  }

  #replace(id: number, change: (thing: Thing) => Thing): void {
    const things = this.things.map((thing) => (thing.id === id ? change(thing) : thing));
    this.#commit({ ...this.#state, things });
  }

  #commit(state: State): void {
    this.#past = [...this.#past, this.#state].slice(-MOST_STEPS);
    this.#future = [];
    this.#state = state;
    this.#onChange();
  }
}

/** The object with a mask that was made by hand: clicks start from it. */
function redrawn(thing: Thing, bits: Bits): Thing {
  return { ...thing, bits, base: bits, box: null, taps: [], index: null, detail: '' };
}
