import { h } from './dom';
import { problemOf } from './problem';

const SHOWN_MS = 8000;

/** Say below the page, for a while, why something did not work. */
export function toast(error: unknown): void {
  const message = h('p', { class: 'toast', role: 'alert' }, problemOf(error).detail);
  document.body.append(message);
  setTimeout(() => message.remove(), SHOWN_MS);
}
