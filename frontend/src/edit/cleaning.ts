import { Notice } from '../ui/notice';
import type { Source } from '../viewer/source';
import type { ObjectNode } from '../viewer/objects';
import { maskOf, type Run } from './document';
import { readSplats, type Splats } from './splats';

const SELECTED = [255, 90, 0] as const;
const LEAST_SHOWN = 140; // opacity of what is selected, however faint it is

/** One object's splats as they look while some are selected and some are gone. */
export class Cleaning {
  readonly splats: Splats;
  selected: Uint8Array;
  readonly #node: ObjectNode;
  readonly #source: Source;

  private constructor(node: ObjectNode, source: Source, splats: Splats) {
    this.#node = node;
    this.#source = source;
    this.splats = splats;
    this.selected = new Uint8Array(splats.count);
  }

  /** Rejects with a sentence for the user. */
  static async of(node: ObjectNode, source: Source): Promise<Cleaning> {
    const path = node.about.files.splats;
    if (!path) throw new Notice('This object has no splats.');
    return new Cleaning(node, source, readSplats(await source.bytes(path)));
  }

  get count(): number {
    return this.selected.reduce((sum, value) => sum + value, 0);
  }

  async show(removed: readonly Run[]): Promise<void> {
    const removal = maskOf(removed, this.splats.count);
    if (removed.length === 0 && this.count === 0) {
      await this.#node.paint(null, this.#source);
      return;
    }
    const rgba = this.splats.rgba.slice();
    for (let k = 0; k < removal.length; k++) {
      if (this.selected[k]) {
        rgba.set(SELECTED, 4 * k);
        rgba[4 * k + 3] = Math.max(LEAST_SHOWN, rgba[4 * k + 3] ?? 0);
      } else if (removal[k]) rgba[4 * k + 3] = 0;
    }
    await this.#node.paint(rgba, this.#source);
  }
}
