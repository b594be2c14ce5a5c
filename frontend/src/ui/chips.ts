import { h } from './dom';
import { icon } from './icons';

const SEPARATORS = /[,;|\n，；、｜،؛]/;

/** A field for several short phrases: Enter or a separator makes a chip of what is typed. */
export class Chips {
  readonly element: HTMLElement;
  readonly #input: HTMLInputElement;
  readonly #row: HTMLElement;
  readonly #most: number;
  readonly #onChange: () => void;
  #phrases: string[] = [];

  constructor(id: string, placeholder: string, most: number, onChange: () => void = () => {}) {
    this.#most = most;
    this.#onChange = onChange;
    this.#input = h('input', {
      id, type: 'text', placeholder, autocomplete: 'off', autocapitalize: 'none', maxlength: 200,
      enterkeyhint: 'done',
      onblur: () => this.#commit(),
      oninput: () => {
        // Not within quotes, which hold one phrase.
        if (SEPARATORS.test(this.#input.value) && !/^\s*["“„«'][^"”“»']*$/.test(this.#input.value)) this.#commit();
        this.#onChange();
      },
    });
    this.#input.addEventListener('keydown', (e) => {
      if (e.key === 'Enter' && this.#input.value.trim()) {
        e.preventDefault();
        this.#commit();
      } else if (e.key === 'Backspace' && this.#input.value === '') {
        this.values = this.#phrases.slice(0, -1);
      }
    });
    this.#row = h('span', { class: 'chip-row' });
    this.element = h(
      'div', { class: 'chips', onclick: () => this.#input.focus() }, this.#row, this.#input,
    );
  }

  /** The chips, and what is typed but not yet one. */
  get values(): string[] {
    return split([...this.#phrases, this.#input.value].join(';')).slice(0, this.#most);
  }

  set values(phrases: string[]) {
    this.#phrases = split(phrases.join(';')).slice(0, this.#most);
    this.#draw();
    this.#onChange();
  }

  #commit(): void {
    // Not without need: a press on a chip blurs the field first, and must find its button there.
    if (!this.#input.value.trim()) return;
    this.values = [...this.#phrases, this.#input.value];
    this.#input.value = '';
  }

  #draw(): void {
    this.#row.replaceChildren(
      ...this.#phrases.map((phrase) =>
        h('span', { class: 'chip' }, phrase,
          h('button', {
            type: 'button', 'aria-label': `Remove ${phrase}`,
            onclick: (e: Event) => {
              e.stopPropagation();
              this.values = this.#phrases.filter((p) => p !== phrase);
              this.#input.focus();
            },
          }, icon('close'))),
      ),
    );
  }
}

/**
 * Phrases of a text, without blanks and repetitions: what the server's own rules (docs/prompts.md)
 * divide further, it does when the form is sent.
 */
export function split(text: string): string[] {
  const parts = text.match(/"[^"]*"|“[^”]*”|«[^»]*»|[^,;|\n，；、｜،؛]+/g) ?? [];
  return [...new Set(parts.map((p) => p.trim().replace(/\s+/g, ' ')).filter(Boolean))];
}
