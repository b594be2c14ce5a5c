import { h, iconButton } from '../ui/dom';
import { icon } from '../ui/icons';
import type { Mode } from './objects';

export interface ToolbarActions {
  mode(mode: Mode): void;
  photo(on: boolean): void;
  room(on: boolean): void;
  turn(on: boolean): void;
  background(color: string | null): void;
  frame(): void;
  screenshot(): void;
  full(): void;
}

const MODES: readonly [Mode, string][] = [
  ['splats', 'Splats'],
  ['mesh', 'Mesh'],
  ['both', 'Both'],
  ['wireframe', 'Wire'],
];

/** null is the page's own colour, which follows light and dark. */
const BACKGROUNDS: readonly [string | null, string][] = [
  [null, 'Page'],
  ['#ffffff', 'White'],
  ['#8b9098', 'Grey'],
  ['#000000', 'Black'],
];

/** What is shown and how, as a bar over the picture. */
export class Toolbar {
  readonly element: HTMLElement;
  readonly #modes = new Map<Mode, HTMLButtonElement>();
  readonly #photo: HTMLButtonElement;
  readonly #room: HTMLButtonElement;
  readonly #turn: HTMLButtonElement;
  readonly #actions: ToolbarActions;

  constructor(actions: ToolbarActions) {
    this.#actions = actions;
    const modes = h('div', { class: 'segmented', role: 'group', 'aria-label': 'Show' });
    for (const [mode, label] of MODES) {
      const button = h(
        'button', { type: 'button', 'aria-pressed': 'false', onclick: () => this.setMode(mode) }, label,
      );
      this.#modes.set(mode, button);
      modes.append(button);
    }
    const toggle = (button: HTMLButtonElement, act: (on: boolean) => void) => {
      const on = button.getAttribute('aria-pressed') !== 'true';
      button.setAttribute('aria-pressed', String(on));
      act(on);
    };
    this.#photo = iconButton(
      icon('photo'), 'The photo behind the objects (P)',
      () => toggle(this.#photo, actions.photo), { 'aria-pressed': 'false' },
    );
    this.#room = iconButton(
      icon('room'), 'The room behind the objects (B)',
      () => toggle(this.#room, actions.room), { 'aria-pressed': 'false', hidden: true },
    );
    this.#turn = iconButton(
      icon('turn'), 'Turntable (T)', () => toggle(this.#turn, actions.turn), { 'aria-pressed': 'false' },
    );
    const swatches = h('div', { class: 'swatches', role: 'group', 'aria-label': 'Background' });
    BACKGROUNDS.forEach(([color, label], k) => {
      const button = h('button', {
        type: 'button', class: 'dot', 'aria-label': `${label} background`, title: `${label} background`,
        'aria-pressed': String(k === 0), style: color ? `--dot:${color}` : null,
        onclick: () => {
          for (const other of swatches.children) other.setAttribute('aria-pressed', 'false');
          button.setAttribute('aria-pressed', 'true');
          actions.background(color);
        },
      });
      swatches.append(button);
    });
    this.element = h(
      'div',
      { class: 'toolbar', role: 'toolbar', 'aria-label': 'Viewer' },
      modes,
      h('div', { class: 'tools' },
        this.#photo,
        this.#room,
        this.#turn,
        iconButton(icon('frame'), 'Show everything (F)', actions.frame),
        iconButton(icon('camera'), 'Save a picture (S)', actions.screenshot),
        iconButton(icon('full'), 'Full screen', actions.full),
        swatches),
    );
  }

  setMode(mode: Mode): void {
    for (const [key, button] of this.#modes) button.setAttribute('aria-pressed', String(key === mode));
    this.#actions.mode(mode);
  }

  pressPhoto(): void {
    this.#photo.click();
  }

  /** Offer the switch of the background. */
  offerRoom(): void {
    this.#room.hidden = false;
  }

  pressRoom(): void {
    if (!this.#room.hidden) this.#room.click();
  }

  pressTurn(): void {
    this.#turn.click();
  }

  /** What the picture shows now, where something else than the buttons changed it. */
  reflect({ photo, room, turn }: { photo: boolean; room: boolean; turn: boolean }): void {
    this.#room.setAttribute('aria-pressed', String(room));
    this.#photo.setAttribute('aria-pressed', String(photo));
    this.#turn.setAttribute('aria-pressed', String(turn));
  }
}
